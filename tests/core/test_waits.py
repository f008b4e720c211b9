"""Tasks that wait for tasks: who lends a place to whom, and that neither deadlocks nor goes past what was lent."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from phasenb.core.attempts import EngineLimits
from phasenb.core.live_task import Places
from phasenb.core.waits import Waits
from phasenb.dto.task_state import State
from phasenb.testing import failed, finished
from tests.core.houses import House, run

TASKS = st.sampled_from("abcdef")
EXECUTORS = st.sampled_from(["process", "inline"])


def test_who_waits_lends_along_the_chain_within_its_executor():
    waits = Waits()
    assert not waits.lends("child", "process")
    waits.begin("root", "inline", "parent")
    waits.begin("parent", "process", "child")
    assert waits.lends("parent", "inline")
    assert not waits.lends("parent", "process")
    assert waits.lends("child", "process")
    assert waits.lends("child", "inline")  # of the root, which waits for it through its parent
    waits.end("root", "inline", "parent")
    assert not waits.lends("child", "inline")
    waits.end("parent", "process", "child")
    assert waits.awaited == ()


def test_tasks_that_wait_for_each_other_end_the_question():
    waits = Waits()
    waits.begin("a", "process", "b")
    waits.begin("b", "process", "a")
    assert waits.lends("a", "process")
    assert not waits.lends("a", "inline")


@given(st.lists(st.tuples(TASKS, EXECUTORS, TASKS), max_size=20), st.randoms())
def test_what_was_begun_and_ended_leaves_nothing(begun, random):
    waits = Waits()
    for each in begun:
        waits.begin(*each)
    random.shuffle(begun)
    for waiter, executor, awaited in begun:
        assert waits.lends(awaited, executor)
        waits.end(waiter, executor, awaited)
        waits.end("nobody", executor, awaited)
    assert waits.awaited == ()


def test_a_lent_place_is_beyond_the_capacity_and_is_not_given_back():
    async def scenario():
        places = Places(1)
        assert await places.wait("ada", "parent", 0) is False
        other = asyncio.ensure_future(places.wait("ada", "b other", 0))
        child = asyncio.ensure_future(places.wait("ada", "child", 0))
        await asyncio.sleep(0)
        assert places.line.position("child") == 2
        places.lend("child")
        assert await child is True
        assert (places.used, len(places.line), places.line.position("b other")) == (1, 1, 1)
        assert await places.wait("ada", "grandchild", 0, lent=True) is True
        places.give_back()  # the parent's own
        assert await other is False
        places.give_back()
        assert places.free

    run(scenario())


def test_parents_that_fill_all_places_and_wait_each_have_their_child_run():
    """And nobody else: what is lent is for the awaited task."""

    async def scenario():
        house = House(limits=EngineLimits(running_tasks=2))
        house.executor.hold("parent")
        house.executor.hold("child")
        parents = [await house.launch(phases=["parent"]) for _ in range(4)]
        await house.until(parents[1], State.RUNNING)
        children = [await house.launch(phases=["child"]) for _ in parents]
        assert (await house.manager.snapshot("ada", children[0])).state is State.QUEUED
        for parent, child in zip(parents[:2], children[:2], strict=True):
            house.manager.waits(parent, child)
            await house.until(child, State.RUNNING)
        for waiting in (*parents[2:], *children[2:]):
            assert (await house.manager.snapshot("ada", waiting)).state is State.QUEUED
        house.executor.let_go("child")
        for parent, child in zip(parents[:2], children[:2], strict=True):
            assert (await house.finish(child)).state is State.COMPLETED
            house.manager.goes_on(parent, child)
        assert (await house.manager.snapshot("ada", parents[2])).state is State.QUEUED
        house.executor.let_go("parent")
        for task in (*parents, *children):
            assert (await house.finish(task)).state is State.COMPLETED
        assert house.manager.queued == 0

    run(scenario())


def test_an_awaited_task_that_is_retried_gets_a_lent_place_again():
    async def scenario():
        house = House({"child": [[failed()], [finished()]]}, limits=EngineLimits(running_tasks=1))
        house.executor.hold("parent")
        parent = await house.launch(phases=["parent"])
        await house.until(parent, State.RUNNING)
        child = await house.launch(phases=["child"])
        house.manager.waits(parent, child)
        await house.until(child, State.RETRYING)
        while not house.clock.sleeping:
            await asyncio.sleep(0)
        house.clock.advance(600)
        assert (await house.finish(child)).state is State.COMPLETED
        assert (await house.manager.snapshot("ada", parent)).state is State.RUNNING
        house.executor.let_go("parent")
        assert (await house.finish(parent)).state is State.COMPLETED

    run(scenario())
