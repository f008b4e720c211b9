"""A view shows one session of one owner, and nothing it takes can name another."""

import asyncio
import inspect

import pandas as pd
import pytest

from phasenb.codecs import encode
from phasenb.codecs.objects import ObjectFolder
from phasenb.dto import events as ev
from phasenb.dto.events import PhaseLog
from phasenb.dto.phase import LogLine
from phasenb.errors import StoreUnavailable, UnknownTask
from phasenb.store.view import MemoryView


@pytest.fixture
def told(saver, story):
    """Tasks of two sessions of ada and one of eve, by (owner, session)."""
    stories = {
        ("ada", "nb:a"): story(session="nb:a"),
        ("ada", "nb:b"): story(session="nb:b"),
        ("eve", "nb:a"): story("eve", session="nb:a"),
    }

    async def tell():
        for each in stories.values():
            await each.tell(saver)
            line = LogLine(stream="stdout", text=f"of {each.owner} {each.session}", at=each.task.created_at)
            await saver.add_log(
                PhaseLog(task_id=each.task_id, phase="research", attempt=1, first_line=1, lines=(line,))
            )

    asyncio.run(tell())
    return stories


def test_a_view_shows_its_own_session_only(saver, told):
    for (owner, session), mine in told.items():
        view = saver.view(owner, session)
        assert view.tasks().index.tolist() == [mine.task_id]
        assert set(view.results()["task_id"]) == {mine.task_id}
        assert set(view.events()["task_id"]) == {mine.task_id}
        assert view.logs(mine.task_id)["text"].tolist() == [f"of {owner} {session}"]
        assert view.output(mine.task_id, "planning") == {"from": "planning"}


def test_tasks_of_others_are_unknown(saver, told):
    for scope in told:
        view = saver.view(*scope)
        for other in told.values():
            if (other.owner, other.session) == scope:
                continue
            for name in (other.task_id, other.task_id[-8:]):
                for ask in (
                    view.logs,
                    view.events,
                    lambda task_id, view=view: view.results(task_id=task_id),
                    lambda task_id, view=view: view.output(task_id, "research"),
                ):
                    with pytest.raises(UnknownTask):
                        ask(name)


def test_no_method_takes_an_owner_or_a_session(saver):
    view = saver.view("ada", "nb:a")
    public = [name for name in dir(MemoryView) if not name.startswith("_")]
    assert sorted(public) == ["events", "logs", "output", "results", "tasks"]
    for name in public:
        assert not {"owner", "session", "scope"} & set(inspect.signature(getattr(view, name)).parameters)
    assert repr(view) == "<MemoryView of session 'nb:a'>"


def test_an_empty_session_has_empty_frames(saver, told):
    view = saver.view("ada", "nb:none")
    assert [len(frame) for frame in (view.tasks(), view.results(), view.events())] == [0, 0, 0]


def test_a_view_narrows_to_a_task_and_takes_its_suffix(saver, story):
    one, two = story(), story()
    for each in (one, two):
        asyncio.run(each.tell(saver))
    view = saver.view("ada", "nb:penguins")
    assert set(view.results(task_id=one.task_id[-10:])["task_id"]) == {one.task_id}
    assert view.events(two.task_id)["seq"].tolist() == list(range(1, 9))
    assert set(view.results(last=True, flatten=True)["output.from"]) == {"research", "planning", "implementation"}
    assert view.tasks().index.tolist() == sorted([one.task_id, two.task_id], reverse=True)


def test_the_output_of_a_phase_is_that_of_its_last_complete_attempt(saver, story):
    table = pd.DataFrame({"species": ["Adelie", "Gentoo"]})
    told = story()

    async def tell():
        encoded = encode(table, ObjectFolder(saver.objects_url("ada")))
        fields = {"output": encoded.value, "output_type": encoded.type, "output_bytes": encoded.bytes}
        appends = [told.created(), told.started(), told.failed(), told.started(attempt=2)]
        await told.tell(saver, [*appends, told.complete(attempt=2, **fields)])

    asyncio.run(tell())
    view = saver.view("ada", told.session)
    pd.testing.assert_frame_equal(view.output(told.task_id, "research"), table)
    frame = view.results()
    assert frame["status"].tolist() == ["failed", "complete"]
    pd.testing.assert_frame_equal(frame["output"].iloc[1].load(), table)
    with pytest.raises(KeyError, match="no output of 'planning'"):
        view.output(told.task_id, "planning")


def test_what_a_retry_set_aside_counts_no_longer(saver, story):
    told = story()

    async def tell():
        appends = [told.created(), told.started(), told.complete(output=1), told.started("planning")]
        appends += [told.complete("planning", output=2), told.cancelled()]
        again = told.decide(told._event(ev.TaskRetried, from_phase="planning", by="ada"))
        await told.tell(saver, [*appends, again])

    asyncio.run(tell())
    view = saver.view("ada", told.session)
    assert view.output(told.task_id, "research") == 1
    with pytest.raises(KeyError, match="no output of 'planning'"):
        view.output(told.task_id, "planning")
    for frame in (view.results(last=True), view.results(last=True, task_id=told.task_id)):
        assert frame["phase"].tolist() == ["research"]
    assert view.results()["phase"].tolist() == ["research", "planning"]


def test_a_view_of_a_closed_store_says_so(saver):
    view = saver.view("ada", "nb:a")
    asyncio.run(saver.close())
    with pytest.raises(StoreUnavailable, match="it is closed"):
        view.tasks()
