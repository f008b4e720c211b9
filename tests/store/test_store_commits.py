"""MemorySaver keeps what it was told, whole and in order, on a real file and in memory."""

import asyncio
import hashlib
import threading
from datetime import UTC, datetime

import pytest

from phasenb.dto.base import new_ulid
from phasenb.dto.events import PhaseLog, parse_event
from phasenb.dto.launch import Launch, LaunchOptions, Runtime
from phasenb.dto.phase import LogLine
from phasenb.dto.task_state import State
from phasenb.errors import BadMessage, Conflict, UnknownObject, UnknownTask
from phasenb.store.saver import MemorySaver

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


def lines_of(task_id, first, *texts, dropped=0, phase="research"):
    lines = tuple(LogLine(stream="stdout", text=text, at=AT) for text in texts)
    return PhaseLog(task_id=task_id, phase=phase, attempt=1, first_line=first, dropped=dropped, lines=lines)


# --- appends ---------------------------------------------------------------------------------------------------------


def test_a_task_is_kept_whole(saver, story):
    async def main():
        told = story(inputs={"path": "penguins.csv", "n": [1, 2.5, None]}, labels={"team": "birds"})
        appends = list(told.whole())
        task = await told.tell(saver, appends)
        stored = await saver.find(told.task_id)
        assert (stored.owner, stored.task) == ("ada", task)
        wires = await saver.events(told.task_id, 0, 100)
        assert wires == [event.wire for append in appends for event in append.events]
        assert [parse_event(wire).seq for wire in wires] == list(range(1, 9))
        results = await saver.results("ada")
        assert results == [(told.task_id, result) for append in appends for result in append.results]

    asyncio.run(main())


def test_events_are_paged(saver, story):
    async def main():
        told = story()
        await told.tell(saver)
        assert [parse_event(wire).seq for wire in await saver.events(told.task_id, 3, 2)] == [4, 5]
        assert await saver.events(told.task_id, 8, 10) == []
        assert await saver.events(new_ulid(), 0, 10) == []

    asyncio.run(main())


def test_the_log_that_moved_on_refuses_a_late_decision(saver, story):
    async def main():
        told = story()
        await saver.append(told.created())
        mine = told.started()
        await saver.append(mine)
        with pytest.raises(Conflict, match="its log is at 2, and this decision was made at 1"):
            await saver.append(mine)
        told.complete()
        ahead = told.started("planning")
        with pytest.raises(Conflict, match="its log is at 2, and this decision was made at 3"):
            await saver.append(ahead)
        assert len(await saver.events(told.task_id, 0, 10)) == 2
        assert (await saver.find(told.task_id)).task.seq == 2

    asyncio.run(main())


def test_an_append_to_no_task_to_somebody_elses_and_a_second_birth_are_conflicts(saver, story):
    async def main():
        told, unborn = story(), story()
        first = told.created()
        await saver.append(first)
        with pytest.raises(Conflict, match="its log is at 1"):
            await saver.append(first)
        unborn.created()
        with pytest.raises(Conflict, match="no log yet"):
            await saver.append(unborn.started())
        told.owner = "eve"
        with pytest.raises(Conflict):
            await saver.append(told.started())

    asyncio.run(main())


def test_an_append_that_contradicts_itself_is_a_programming_error(saver, story):
    async def main():
        told, other = story(), story()
        append = told.created()
        with pytest.raises(ValueError, match="up to the task's seq"):
            await saver.append(type(append)(append.owner, append.task, (), (), append.launch))
        with pytest.raises(ValueError, match="no other task's"):
            await saver.append(type(append)(append.owner, append.task, other.created().events))

    asyncio.run(main())


# --- launches --------------------------------------------------------------------------------------------------------


def test_an_idempotency_key_gives_the_same_task_within_owner_and_session(saver, story):
    async def main():
        first = story(idempotency_key="once")
        assert not (await saver.append(first.created())).duplicate
        again = await saver.append(story(idempotency_key="once").created())
        assert (again.task_id, again.duplicate) == (first.task_id, True)
        for elsewhere in (story(idempotency_key="once", session="py:x"), story("eve", idempotency_key="once")):
            assert not (await saver.append(elsewhere.created())).duplicate
        assert len(await saver.tasks("ada", session="nb:penguins")) == 1

    asyncio.run(main())


@pytest.mark.parametrize("ended", [False, True])
def test_a_key_attaches_to_its_newest_task_even_when_that_has_ended(saver, story, ended):
    async def main():
        first = story(key="2026-W47")
        await saver.append(first.created())
        if ended:
            await saver.append(first.cancelled())
        again = await saver.append(story(key="2026-W47").created())
        assert (again.task_id, again.duplicate) == (first.task_id, True)

        newer = story(key="2026-W47", if_exists="new")
        assert not (await saver.append(newer.created())).duplicate
        assert (await saver.append(story(key="2026-W47").created())).task_id == newer.task_id

        with pytest.raises(Conflict, match="has the key '2026-W47' already") as refused:
            await saver.append(story(key="2026-W47", if_exists="error").created())
        assert refused.value.task_id == newer.task_id
        assert not (await saver.append(story(key="2026-W47", session="py:x", if_exists="error").created())).duplicate

    asyncio.run(main())


def test_launches_of_one_key_at_once_make_one_task(saver, story):
    async def main():
        answers = await asyncio.gather(*(saver.append(story(key="k").created()) for _ in range(50)))
        assert len({answer.task_id for answer in answers}) == 1
        assert sum(not answer.duplicate for answer in answers) == 1
        assert len(await saver.tasks("ada")) == 1

    asyncio.run(main())


def test_a_launch_comes_back_as_it_was(saver, story):
    runtime = Runtime(python="3.11.7", executable="/usr/bin/python3", cwd="/home/ada", host="here")
    reference = {"$object": "sha256:" + "0" * 64, "codec": "pickle"}
    options = LaunchOptions(name="fit", labels={"a": "b"}, recovery={"defaults": {"retry": {"jitter": 0}}})
    launches = [
        Launch(agent="fit", inputs={"x": 1}, options=options, runtime=runtime),
        Launch(code="QUJD" * 1000, inputs={}, options=options),
        Launch(code="QUJD" * 1000, inputs={"big": "x" * 100_000}),
        Launch(code=reference, inputs={"df": reference}),
    ]

    async def main():
        for launch in launches:
            # The task may show less of an input than the launch has.
            for shown in (launch.inputs, {"hidden": True}):
                told = story(inputs=shown)
                told.launch = launch
                await saver.append(told.created())
                assert await saver.launch(told.task_id) == launch
                assert (await saver.find(told.task_id)).task.inputs == shown

    asyncio.run(main())


def test_a_task_without_a_launch_has_none(saver, story):
    async def main():
        told = story()
        append = told.created()
        await saver.append(type(append)(append.owner, append.task, append.events))
        for unknown in (told.task_id, new_ulid()):
            with pytest.raises(UnknownTask):
                await saver.launch(unknown)

    asyncio.run(main())


# --- finding ---------------------------------------------------------------------------------------------------------


def test_a_unique_suffix_finds_its_task(saver, story):
    async def main():
        ids = ["01KAV0000000000000000000AB", "01KAV0000000000000000011AB", "01KAV00000000000000000CDEF"]
        for owner, task_id in zip(("ada", "eve", "ada"), ids, strict=True):
            await saver.append(story(owner, task_id=task_id).created())
        for typed in (ids[2], "CDEF", "cdef", " 0CDEF "):
            assert (await saver.find(typed)).task.task_id == ids[2]
        assert (await saver.find("11AB")).owner == "eve"
        for unknown in ("00AB0", "DEF", "", "%DEF", "_CDEF", "ÄCDEF", "00000000000000000000000000", "~~~~"):
            assert await saver.find(unknown) is None
        assert await saver.find("00AB") is not None
        assert (await saver.find("00AB", owner="ada")).task.task_id == ids[0]
        assert await saver.find("11AB", owner="ada") is None

    asyncio.run(main())


def test_a_suffix_of_two_tasks_finds_neither_unless_the_owner_tells_them_apart(saver, story):
    async def main():
        ids = ["01KAV000000000000000010WXYZ"[-26:], "01KAV000000000000000020WXYZ"[-26:]]
        for owner, task_id in zip(("ada", "eve"), ids, strict=True):
            await saver.append(story(owner, task_id=task_id).created())
        assert await saver.find("0WXYZ") is None
        assert (await saver.find("0WXYZ", owner="eve")).task.task_id == ids[1]

    asyncio.run(main())


def test_tasks_are_listed_newest_first_by_page_state_and_session(saver, story):
    async def main():
        stories = [story(session="nb:a" if place % 2 else "nb:b") for place in range(6)]
        stories.sort(key=lambda told: told.task_id)
        for told in stories:
            await saver.append(told.created())
        await saver.append(stories[0].cancelled())
        await saver.append(story("eve").created())
        newest_first = [told.task_id for told in reversed(stories)]

        async def ids(**asked):
            return [task.task_id for task in await saver.tasks("ada", **asked)]

        assert await ids() == newest_first
        assert await ids(limit=2) == newest_first[:2]
        assert await ids(limit=3, before=newest_first[1]) == newest_first[2:5]
        assert await ids(state=State.CANCELLED) == [stories[0].task_id]
        assert await ids(state=State.QUEUED, before=newest_first[3]) == newest_first[4:5]
        assert await ids(session="nb:a") == [told.task_id for told in reversed(stories) if told.session == "nb:a"]
        assert await ids(session="nb:c") == []

    asyncio.run(main())


def test_results_are_of_one_owner_session_and_task(saver, story):
    async def main():
        mine, other, hers = story(), story(session="nb:other"), story("eve")
        for told in (mine, other, hers):
            await told.tell(saver)
        assert len(await saver.results("ada")) == 6
        assert {task_id for task_id, _ in await saver.results("ada", session="nb:other")} == {other.task_id}
        assert len(await saver.results("ada", task_id=mine.task_id)) == 3
        assert await saver.results("ada", task_id=hers.task_id) == []
        assert await saver.results("ada", session="nb:other", task_id=mine.task_id) == []

    asyncio.run(main())


# --- logs and checkpoints --------------------------------------------------------------------------------------------


def test_log_lines_are_read_in_order_from_a_cursor(saver, story):
    async def main():
        told = story()
        await saver.append(told.created())
        await saver.add_log(lines_of(told.task_id, 1, "one", "two"))
        await saver.add_log(lines_of(told.task_id, 3, "three \x00 ☃"))
        lines = await saver.logs(told.task_id)
        assert [(line["line"], line["text"]) for line in lines] == [(1, "one"), (2, "two"), (3, "three \x00 ☃")]
        assert set(lines[0]) == {"cursor", "phase", "attempt", "line", "stream", "at", "text"}
        assert lines[0]["at"] == "2026-11-23T12:00:00.000000Z"
        later = await saver.logs(told.task_id, after=lines[0]["cursor"], limit=1)
        assert [line["text"] for line in later] == ["two"]
        assert await saver.logs(new_ulid()) == []
        assert await saver.newest_logs(told.task_id, 2) == lines[1:]
        assert await saver.newest_logs(told.task_id, 9) == lines

    asyncio.run(main())


def test_dropped_lines_are_told(saver, story):
    async def main():
        told = story()
        await saver.append(told.created())
        await saver.add_log(lines_of(told.task_id, 1, "one"))
        await saver.add_log(lines_of(told.task_id, 42, "last", dropped=40))
        lines = await saver.logs(told.task_id)
        assert [line["line"] for line in lines] == [1, 41, 42]
        assert lines[1]["text"] == "[40 lines before this one were not kept]"
        assert lines[1]["stream"] == "log"

    asyncio.run(main())


def test_lines_of_an_unknown_task_cost_nobody_else(saver, story, caplog):
    async def main():
        told = story()
        await saver.append(told.created())
        await asyncio.gather(
            saver.add_log(lines_of(new_ulid(), 1, "lost")),
            saver.append(told.started()),
            saver.add_log(lines_of(told.task_id, 1, "kept")),
        )
        assert [line["text"] for line in await saver.logs(told.task_id)] == ["kept"]

    asyncio.run(main())
    assert "not kept" in caplog.text


def test_the_newest_checkpoint_of_a_phase_counts(saver, story):
    async def main():
        told = story()
        await saver.append(told.created())
        assert await saver.checkpoint(told.task_id, "research") is None
        await saver.add_checkpoint(told.task_id, "research", 1, {"row": 1})
        await saver.add_checkpoint(told.task_id, "research", 2, {"row": 2})
        await saver.add_checkpoint(told.task_id, "planning", 1, None)
        assert (await saver.checkpoint(told.task_id, "research")).value == {"row": 2}
        assert (await saver.checkpoint(told.task_id, "planning")).value is None

    asyncio.run(main())


# --- objects ---------------------------------------------------------------------------------------------------------


async def pieces(data, size=70_000):
    for start in range(0, len(data), size):
        yield data[start : start + size]


def test_objects_belong_to_their_owner(saver):
    data = bytes(range(256)) * 40_000
    name = "sha256:" + hashlib.sha256(data).hexdigest()

    async def main():
        assert not await saver.has_object("ada", name)
        assert await saver.put_object("ada", pieces(data), name) == len(data)
        assert await saver.has_object("ada", name)
        assert not await saver.has_object("eve", name)
        chunks = [chunk async for chunk in saver.open_object("ada", name)]
        assert b"".join(chunks) == data
        assert max(map(len, chunks)) <= 1024 * 1024
        with pytest.raises(UnknownObject):
            await anext(saver.open_object("eve", name))

    asyncio.run(main())


def test_an_upload_with_a_wrong_hash_is_refused_and_dropped(saver):
    async def main():
        wrong = "sha256:" + "0" * 64
        with pytest.raises(BadMessage, match="hash"):
            await saver.put_object("ada", pieces(b"data"), wrong)
        assert not await saver.has_object("ada", wrong)

    asyncio.run(main())


def test_an_upload_that_breaks_off_leaves_nothing(file_saver, tmp_path):
    async def broken():
        yield b"x" * 5_000_000
        raise ConnectionError("the client went away")

    async def main():
        with pytest.raises(ConnectionError):
            await file_saver.put_object("ada", broken(), "sha256:" + "0" * 64)

    asyncio.run(main())
    assert [path for path in (tmp_path / "artifacts").glob("*/**/*") if path.is_file()] == []


def test_owners_never_share_a_folder(file_saver):
    names = ["ada", "Ada", "a/da", "a_da", "..", ".", "", "é" * 300, "a" * 40 + "x", "a" * 40 + "y"]
    urls = [file_saver.objects_url(name) for name in names]
    assert len({url.lower() for url in urls}) == len(names)
    root = file_saver.url.replace("phasenb.db", f"artifacts/{file_saver.epoch}/")
    assert all(url.startswith(root) and "/" not in url.removeprefix(root) for url in urls)


def test_artifacts_may_lie_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saver = MemorySaver("phasenb.db", artifacts="elsewhere")
    assert saver.objects_url("ada").startswith(f"{tmp_path}/elsewhere/ada-")
    remote = MemorySaver(":memory:", artifacts="memory://bucket")
    assert remote.objects_url("ada").startswith("memory://bucket/ada-")
    asyncio.run(saver.close())
    asyncio.run(remote.close())


def test_every_reader_waits_for_the_lines_that_were_handed_over_before(file_saver, story):
    async def main():
        told, writer = story(), file_saver._database.writer
        await file_saver.append(told.created())
        asked, run, go = [], writer.run, threading.Event()

        def noted(job):
            asked.append(job)
            return run(job)

        writer.post(lambda cursor: go.wait(10))
        await file_saver.add_log(lines_of(told.task_id, 1, "one"))
        writer.run = noted
        readers = [asyncio.ensure_future(file_saver.logs(told.task_id)) for _ in range(2)]
        while len(asked) < 2 and not readers[1].done():
            await asyncio.sleep(0)
        go.set()
        assert [[line["text"] for line in await reader] for reader in readers] == [["one"], ["one"]]

    asyncio.run(main())
