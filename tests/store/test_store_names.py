"""A task by what people type: its id, its name, the end of its id."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasenb.core.task_names import MOST_NAMED, the_one
from phasenb.errors import AmbiguousTask, UnknownTask

from .conftest import Story


def named(name, session, task_id=None):
    story = Story(session=session, task_id=task_id, name=name)
    return story, story.created()


def told(saver, *appends):
    async def tell():
        for append in appends:
            await saver.append(append)

    asyncio.run(tell())


def matching(saver, text, session=None, owner="ada"):
    return [task.task_id for task in asyncio.run(saver.matching(owner, text, session=session))]


@pytest.mark.parametrize("typed", [str, lambda task_id: f" {task_id.lower()} "])
def test_a_whole_id_counts_before_a_name(saver, typed):
    mine, append = named("nightly", "a")
    asked = typed(mine.task_id)
    told(saver, append, named(asked, "a")[1], named(asked, "b")[1])
    assert matching(saver, asked) == [mine.task_id]
    assert saver.view("ada", "a").events(asked)["task_id"].unique().tolist() == [mine.task_id]


def test_tasks_of_a_name_come_with_those_of_the_session_first(saver):
    stories = [named("nightly", session) for session in ("a", "b", "a")]
    told(saver, *(append for _, append in stories))
    first, second, third = (story.task_id for story, _ in stories)
    assert matching(saver, "nightly", "b") == [second, third, first]
    assert matching(saver, "nightly", "a") == [third, first, second]
    assert matching(saver, "nightly", "a", owner="eve") == []
    assert matching(saver, "night") == []


def test_a_name_counts_before_the_end_of_an_id(saver):
    ends_so, _ = one = named("x", "a", "01KASTN0V00000000000F0WXYZ")
    called_so, _ = other = named("0WXYZ", "a")
    told(saver, one[1])
    assert matching(saver, "0wxyz") == [ends_so.task_id]
    told(saver, other[1])
    assert matching(saver, "0WXYZ") == [called_so.task_id]


def test_at_most_so_many_are_looked_at(saver):
    told(saver, *(named("nightly", "a")[1] for _ in range(MOST_NAMED + 3)))
    assert len(matching(saver, "nightly")) == MOST_NAMED


def test_a_view_takes_the_names_of_its_own_session_alone(saver):
    mine, append = named("nightly", "a")
    told(saver, append, named("nightly", "b")[1], named("other", "b")[1])
    view = saver.view("ada", "a")
    assert list(view.events("nightly")["task_id"].unique()) == [mine.task_id]
    with pytest.raises(UnknownTask):
        view.events("other")


STATES = st.lists(st.sampled_from(["a", "b", "c"]).map(lambda session: named("nightly", session)[1].task), max_size=5)


@given(STATES, st.sampled_from(["a", "b", None]), st.booleans())
def test_which_one_is_meant(found, session, changes):
    """What changes a task never picks one of several; what reads takes the session's own, where it is one."""
    here = [task for task in found if task.session == session]
    try:
        meant = the_one("nightly", found, session=session, changes=changes)
    except UnknownTask:
        assert not found
    except AmbiguousTask as error:
        assert len(found) > 1
        assert changes or len(here) != 1
        assert error.task_ids == [task.task_id for task in found]
        assert all(task.task_id in str(error) for task in found)
    else:
        assert meant in found
        assert len(found) == 1 or (not changes and here == [meant])
