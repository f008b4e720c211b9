"""Whose turn it is: owners take turns, an owner's tasks keep their order, nobody waits for ever."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from phasenb.core.attempts import EngineLimits
from phasenb.core.line import Line, room_in_s, why_it_waits
from phasenb.core.live_task import Places
from phasenb.core.phase_manager import PhaseManager
from phasenb.dto.base import new_ulid
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.errors import QueueFull, StoreUnavailable
from phasenb.testing import FakeClock, FakeStore, RecordingPublisher, ScriptedExecutor
from tests.core.houses import PHASES, run

OWNERS = st.sampled_from(["ada", "bob", "eve", "joe"])


class Waiting(RuleBasedStateMachine):
    """Against a model that is as plain as can be: a set of who waits, and of whom each owner must not fall behind."""

    def __init__(self):
        super().__init__()
        self.line = Line()
        self.tasks = {}  # task_id -> (owner, priority)
        self.owed = {}  # owner that waits -> places that may come before one is theirs
        self.gone = []

    @rule(owner=OWNERS, priority=st.integers(-2, 2))
    def launch(self, owner, priority):
        self._join(owner, new_ulid(), priority)

    @precondition(lambda self: self.gone)
    @rule(data=st.data())
    def wake(self, data):
        """One that ran, or was paused, waits again."""
        task_id, owner, priority = data.draw(st.sampled_from(self.gone))
        self.gone.remove((task_id, owner, priority))
        self._join(owner, task_id, priority)

    def _join(self, owner, task_id, priority):
        self.line.join(owner, task_id, priority)
        self.tasks[task_id] = owner, priority
        self.owed.setdefault(owner, len({each for each, _ in self.tasks.values()}))

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def cancel(self, data):
        task_id = data.draw(st.sampled_from(sorted(self.tasks)))
        self.line.leave(task_id)
        self.line.leave(task_id)  # twice does no harm
        self._left(task_id)

    def _left(self, task_id):
        owner, priority = self.tasks.pop(task_id)
        self.gone.append((task_id, owner, priority))
        if all(owner != each for each, _ in self.tasks.values()):
            self.owed.pop(owner, None)
        return owner, priority

    @precondition(lambda self: self.tasks)
    @rule()
    def place(self):
        expected = self.line.order()[0]
        task_id = self.line.next()
        assert task_id == expected
        owner, priority = self.tasks[task_id]
        own = [(-p, each) for each, (o, p) in self.tasks.items() if o == owner]
        assert (-priority, task_id) == min(own), "an owner's first by priority, then by launch"
        self._left(task_id)
        waiting = {each for each, _ in self.tasks.values()}
        for other in waiting - {owner}:
            self.owed[other] -= 1
            assert self.owed[other] > 0, "of n owners that wait, each gets one of the next n places"
        if owner in waiting:
            self.owed[owner] = len(waiting)

    @invariant()
    def the_positions_are_those_of_the_order(self):
        order = self.line.order()
        assert sorted(order) == sorted(self.tasks)
        assert len(self.line) == len(order)
        assert [self.line.position(each) for each in order] == list(range(1, len(order) + 1))
        assert self.line.position("nobody") is None
        assert self.line.owners == len({owner for owner, _ in self.tasks.values()})


TestWaiting = Waiting.TestCase


@given(st.lists(st.tuples(OWNERS, st.integers(-2, 2)), min_size=1, max_size=30))
def test_the_order_is_what_the_places_come_to_while_nothing_changes(launches):
    line = Line()
    for owner, priority in launches:
        line.join(owner, new_ulid(), priority)
    expected = line.order()
    assert [line.next() for _ in launches] == expected
    with pytest.raises(LookupError):
        line.next()


def test_one_launch_of_another_owner_comes_second_after_500():
    line = Line()
    for _ in range(500):
        line.join("ada", new_ulid(), 100)
    line.join("bob", "z", -100)
    assert line.position("z") == 2
    line.next()
    assert line.next() == "z"


def test_a_woken_task_has_the_place_of_its_launch():
    line, (first, second, third) = Line(), (new_ulid() for _ in range(3))
    for each in (third, second):
        line.join("ada", each, 0)
    line.join("ada", first, 0)  # it waited for a person
    assert line.order() == [first, second, third]


@pytest.mark.parametrize(("held_s", "places", "owners", "room"), [
    ((), 2, 1, None),
    ((10.0,), 2, 1, 5.0),
    ((10.0, 1000.0, 12.0), 2, 1, 6.0),
    ((10.0, 10.0), 2, 4, 20.0),
    ((0.01,), 2, 1, 1.0),
    ((1e6,), 1, 1, 3600.0),
])  # fmt: skip
def test_when_a_full_queue_has_room_again(held_s, places, owners, room):
    assert room_in_s(held_s, places, owners) == room


def test_why_a_task_waits_is_said_in_plain_words():
    assert why_it_waits("process", 1, 1) == "The worker is busy"
    assert why_it_waits("process", 2, 2) == "Both workers are busy"
    assert why_it_waits("process", 8, 8) == "All 8 workers are busy"
    assert why_it_waits("process", 2, 8) == "2 tasks run, as many as may at once here"
    assert why_it_waits("inline", 32, 32) == "32 tasks run here, as many as can"


def test_a_place_that_comes_at_the_moment_of_a_cancel_goes_to_the_next():
    async def scenario():
        places = Places(1)
        await places.wait("ada", "runs", 0)
        first, second = (asyncio.ensure_future(places.wait(owner, owner, 0)) for owner in ("ada", "bob"))
        await asyncio.sleep(0)
        places.give_back()
        first.cancel()
        assert await second is False
        assert (places.used, len(places.line)) == (1, 0)
        third = asyncio.ensure_future(places.wait("ada", "c", 0))
        fourth = asyncio.ensure_future(places.wait("ada", "d", 0))
        await asyncio.sleep(0)
        third.cancel()
        places.give_back()  # before the one that was cancelled could leave
        assert await fourth is False

    run(scenario())


def test_the_bound_of_waiting_tasks_holds_for_launches_at_the_same_moment():
    async def scenario():
        executor, limits = ScriptedExecutor(capacity=2), EngineLimits(queued_tasks=3)
        store = FakeStore()
        manager = PhaseManager(store, {"process": executor}, RecordingPublisher(), FakeClock(), limits=limits)

        def launch(owner="ada"):
            return manager.launch(owner, "nb:one", Launch(code="eA==", options=LaunchOptions(phases=PHASES)))

        async def launched(many):
            found = await asyncio.gather(*(launch() for _ in range(many)), return_exceptions=True)
            assert {type(each) for each in found if isinstance(each, Exception)} <= {QueueFull, StoreUnavailable}
            return [each.task.task_id for each in found if not isinstance(each, Exception)]

        async def settle():
            for _ in range(100):
                await asyncio.sleep(0)

        executor.hold("research")
        store.refuse += [StoreUnavailable("db", "the disk is full")] * 5
        assert await launched(5) == [], "and what is not launched takes no room"
        taken = await launched(200)
        await settle()
        assert (len(taken), manager.queued) == (5, 3)
        assert await launched(20) == []
        await launch("bob")
        for task_id in taken:
            await manager.cancel("ada", task_id, "ada")
        for task_id in taken:
            await manager.ended(task_id)
        await settle()
        assert len(await launched(20)) == 4, "one place is bob's"
        await manager.stop()

    run(scenario())


def test_owners_take_turns_and_the_bound_of_waiting_tasks_is_each_owners():
    async def scenario():
        executor, publisher = ScriptedExecutor(capacity=1), RecordingPublisher()
        limits = EngineLimits(queued_tasks=3)
        manager = PhaseManager(FakeStore(), {"process": executor}, publisher, FakeClock(), limits=limits)

        async def launch(owner, session="nb:one"):
            launch = Launch(code="eA==", options=LaunchOptions(phases=PHASES))
            return (await manager.launch(owner, session, launch)).task.task_id

        async def queued(many):
            while manager.queued < many:
                await asyncio.sleep(0)

        executor.hold("research")
        first = await launch("ada")
        await executor.started.get()
        adas = [await launch("ada") for _ in range(3)]
        await queued(3)
        with pytest.raises(QueueFull, match=r"your queue is full \(3 tasks .*\): try again when some have run") as full:
            await launch("ada", "nb:another")
        assert full.value.retry_after_s is None, "nothing has run yet"
        bobs = await launch("bob")
        await queued(4)
        shown = (await manager.snapshot("bob", bobs)).queue
        assert (shown.position, shown.reason) == (2, "The worker is busy")
        executor.let_go("research")
        for task_id in (first, bobs, *adas):
            await manager.ended(task_id)
        order = list(dict.fromkeys(attempt.task_id for attempt in executor.attempts))
        assert order == [first, adas[0], bobs, adas[1], adas[2]]

        executor.hold("research")
        again = [await launch("ada") for _ in range(4)]
        await queued(3)
        with pytest.raises(QueueFull, match=r"try again in about \d+ s"):
            await launch("ada")
        for task_id in again:
            await manager.cancel("ada", task_id, "ada")
            await manager.ended(task_id)

    run(scenario())
