"""A waiting retry that a person gives up, over fakes: what follows the last attempt follows now, on any host."""

import asyncio

import pytest

from phasenb.dto.task_state import State
from phasenb.errors import Conflict, IllegalTransition, LaunchError
from phasenb.testing import failed, finished

from .houses import House, run

PATIENT = {"retry": {"initial_interval": "1h", "jitter": 0, "maximum_attempts": 5}}
BACK = {"planning": {"rollback": {"to": "research"}}}
BOOM = [failed("OSError", "boom\nin two lines")]


async def waiting(house, **options):
    """A task that waits an hour for its second attempt at `planning`."""
    task_id = await house.launch(**options)
    return await house.until(task_id, State.RETRYING)


@pytest.mark.parametrize(
    ("policy", "house", "then"),
    [
        ({"defaults": PATIENT}, {}, "failed"),
        ({"defaults": PATIENT}, {"instead": ("planning",)}, "completed"),
        ({"defaults": PATIENT, "phases": BACK}, {"undo": ("research",)}, "retrying"),
    ],
    ids=["it fails", "its fallback runs", "it is rolled back, and is tried again"],
)  # fmt: skip
def test_what_would_follow_the_last_attempt_follows_now(policy, house, then):
    async def scenario():
        instead = house.get("instead")
        script = {"planning": [BOOM, [finished("plan B")] if instead else BOOM]}
        home = House(script, policy=policy, **house)
        seen = await waiting(home)
        assert "give_up" in seen.actions
        assert (seen.failures.count, seen.failures.first.message) == (1, "boom"), "the first failure is told at once"
        await home.manager.give_up("ada", seen.task_id, "bob", seen.seq)
        task = await home.until(seen.task_id, then)
        events = await home.events(seen.task_id)
        at = next(index for index, event in enumerate(events) if event.type == "retry_given_up")
        given_up, after = events[at : at + 2]
        assert (given_up.by, given_up.phase) == ("bob", "planning")
        assert (after.type, after.given_up, after.attempt) == ("phase_failed", True, 1)
        assert after.next == {"failed": "abort", "completed": "fallback", "retrying": "rollback"}[then]
        assert task.given_up is None
        assert task.failures.count == (2 if then == "retrying" else 1), "the same failure is not counted twice"
        if then == "failed":
            assert (task.error.error.type, task.error.phase) == ("OSError", "planning")
        await home.manager.stop()

    run(scenario())


def test_it_is_given_up_once_and_only_as_it_was_seen():
    async def scenario():
        house = House({"planning": [BOOM]}, policy={"defaults": PATIENT})
        seen = await waiting(house)
        with pytest.raises(Conflict):
            await house.manager.give_up("ada", seen.task_id, "bob", seen.seq - 1)
        await house.manager.give_up("ada", seen.task_id, "bob", seen.seq)
        await house.finish(seen.task_id)
        again = await house.manager.give_up("ada", seen.task_id, "bob", seen.seq)
        assert again.state is State.FAILED, "asked again, as after a broken link, it holds"
        with pytest.raises(IllegalTransition, match="give_up is not possible"):
            await house.manager.give_up("ada", seen.task_id, "bob")

    run(scenario())


def test_a_host_that_takes_the_task_over_does_what_was_asked_for():
    async def scenario():
        one = House({"planning": [BOOM]}, policy={"defaults": PATIENT})
        seen = await waiting(one)
        two = House(like=one)
        await two.manager.give_up("ada", seen.task_id, "bob")
        task = (await one.store.find(seen.task_id)).task
        assert (task.state, task.given_up) == ("queued", "planning"), "durable, though the other host can't decide it"
        events = [event for event in await one.events(seen.task_id) if event.seq > seen.seq]
        await one.manager.follow("ada", seen.task_id, events)
        assert (await one.finish(seen.task_id)).state is State.FAILED
        assert len(one.executor.attempts) == 2, "research and one attempt at planning"

    run(scenario())


def test_a_pause_in_between_only_delays_it():
    async def scenario():
        house = House({"planning": [BOOM]}, policy={"defaults": PATIENT})
        gate = asyncio.Event()

        async def not_now(*args, **options):
            raise LaunchError("its agent can't be asked now")

        async def slowly(*args, **options):
            await gate.wait()
            return house.executor.spec

        house.executor.describe = not_now  # so it is asked again, once there is something to decide
        seen = await waiting(house)
        house.executor.describe = slowly
        await house.manager.give_up("ada", seen.task_id, "bob")
        assert (await house.manager.pause("ada", seen.task_id, "bob")).state is State.PAUSED
        gate.set()
        resumed = await house.manager.resume("ada", seen.task_id, "bob")
        assert resumed.state is State.QUEUED
        assert (await house.finish(seen.task_id)).state is State.FAILED

    run(scenario())


def test_a_paused_task_says_what_to_do_first():
    async def scenario():
        house = House({"planning": [BOOM]}, policy={"defaults": PATIENT})
        seen = await waiting(house)
        paused = await house.manager.pause("ada", seen.task_id, "bob")
        assert "give_up" not in paused.actions
        with pytest.raises(IllegalTransition, match="resume it first"):
            await house.manager.give_up("ada", seen.task_id, "bob")
        await house.manager.resume("ada", seen.task_id, "bob")
        await house.manager.give_up("ada", seen.task_id, "bob")
        assert (await house.finish(seen.task_id)).state is State.FAILED
        await house.manager.stop()

    run(scenario())
