"""Code and its source in a store: what one launch brought is what its own task has, whatever others brought."""

import asyncio
import hashlib
import json
import sqlite3

import pytest

from phasenb.dto import events as ev
from phasenb.dto.launch import Launch, code_id
from phasenb.store import statements as sql
from phasenb.store.migrations import MIGRATIONS
from phasenb.store.saver import MemorySaver
from phasenb.testing import FakeStore

CODE = "QUJDREVGR0g=" * 20
MINE, THEIRS = {"research": "def fit(): return 1"}, {"research": "def fit(): steal()"}


@pytest.fixture(params=["file", "fake"])
def store(request, tmp_path):
    if request.param == "fake":
        yield FakeStore()
        return
    opened = MemorySaver.open(tmp_path / "phasenb.db")
    yield opened
    opened.close_blocking()


def reference(text):
    return {
        "$object": f"sha256:{hashlib.sha256(text.encode()).hexdigest()}",
        "codec": "pickle",
        "type": "agent",
        "bytes": len(text),
    }


@pytest.mark.parametrize("code", [CODE, reference(CODE)], ids=["text", "object"])
@pytest.mark.parametrize("first", [THEIRS, None], ids=["another text", "none"])
def test_a_task_shows_the_source_that_its_own_launch_brought(store, story, code, first):
    async def main():
        other = story(owner="mallory", agent=None, code=code, source=first or {})
        mine, again = (story(owner="ada", agent=None, code=code, source=each) for each in (MINE, {}))
        for each in (other, mine, again):
            await store.append(each.created())
        return [await store.source(each.task_id, code_id(code)) for each in (other, mine, again)]

    assert asyncio.run(main()) == [first or {}, MINE, {}]


def test_each_code_that_a_task_has_had_keeps_its_source(store, story):
    newer = Launch(code=f"{CODE}QQ==", source={"research": "def fit(): return 2"})

    async def main():
        told = story(agent=None, code=CODE, source=MINE)
        await told.tell(store, [told.created(), told.cancelled()])
        retried = told._event(ev.TaskRetried, from_phase="research", new_code=True, code=code_id(newer.code), by="ada")
        await store.append(told.decide(retried, launch=newer))
        return [await store.source(told.task_id, code_id(code)) for code in (CODE, newer.code, "QQ==")]

    assert asyncio.run(main()) == [MINE, newer.source, {}]


def test_code_that_was_named_as_an_object_before_is_kept_when_it_comes_as_text(store, story):
    async def main():
        named = story(owner="mallory", agent=None, code=reference(CODE), source=THEIRS)
        whole = story(owner="ada", agent=None, code=CODE)
        for each in (named, whole):
            await store.append(each.created())
        return [(await store.launch(each.task_id)).code for each in (whole, named)]

    assert asyncio.run(main()) == [CODE, reference(CODE)]


def test_equal_texts_are_kept_once(file_saver, story):
    async def main():
        for number in range(20):
            await file_saver.append(story(owner=f"user{number}", agent=None, code=CODE, source=MINE).created())

    asyncio.run(main())
    with sqlite3.connect(file_saver.url) as looked:
        kept = looked.execute("SELECT hash, body FROM code").fetchall()
    assert len(kept) == 2
    assert all(name == hashlib.sha256(body.encode()).hexdigest() for name, body in kept)


def test_sources_that_an_older_release_kept_with_the_code_become_those_of_its_one_owners_tasks(tmp_path, story):
    """As version 5 was between releases: code has a column for its source, and a row without a text for an object."""
    path, text, shared = tmp_path / "phasenb.db", f"{CODE}QQ==", f"{CODE}QUI="
    named = reference(f"{CODE}QUJD")
    launched = [("ada", CODE), ("ada", CODE), ("ada", named), ("ada", shared), ("mallory", shared)]

    async def before():
        saver = MemorySaver.open(path)
        old = [(story(owner=owner, agent=None, code=code), code) for owner, code in launched]
        for told, _ in old:
            await saver.append(told.created())
        await saver.close()
        return [(told.task_id, code_id(code)) for told, code in old]

    async def after(old):
        saver = MemorySaver.open(path)
        new, whole = story(agent=None, code=CODE, source=THEIRS), story(agent=None, code=text)
        for each in (new, whole):
            await saver.append(each.created())
        found = [await saver.source(*each) for each in (*old, (new.task_id, code_id(CODE)))]
        codes = [(await saver.launch(each)).code for each in (old[0][0], whole.task_id)]
        await saver.close()
        return found, codes

    old = asyncio.run(before())
    with sqlite3.connect(path) as changed:
        changed.execute("DROP TABLE sources")
        changed.execute("ALTER TABLE code ADD COLUMN source TEXT")
        for each in (named, reference(text)):
            changed.execute("INSERT INTO code VALUES (?, '', NULL)", (each["$object"].removeprefix("sha256:"),))
        changed.execute("UPDATE code SET source = ?", (json.dumps(MINE),))
        changed.execute("DELETE FROM phasenb_migrations WHERE version > 5")
    assert asyncio.run(after(old)) == ([MINE, MINE, MINE, {}, {}, THEIRS], [CODE, text])
    with sqlite3.connect(path) as looked:
        assert sql.VERSION.one(looked.cursor())[0] == MIGRATIONS[-1].number
        assert looked.execute("SELECT count(source) FROM code").fetchone() == (0,)
        assert looked.execute("PRAGMA foreign_key_check").fetchall() == []
