"""What is not lost when a host dies, freezes or loses its lease, and how time and checkpoints count: over fakes."""

import asyncio
import threading

import pytest

from phasenb.core.keeper import Keeper
from phasenb.core.ports import HostInfo
from phasenb.dto.events import parse_event
from phasenb.dto.phase import Checkpoint
from phasenb.errors import Conflict, LeaseLost
from phasenb.testing import FakeStore, failed, finished
from tests.core.hearts import LoopHeart
from tests.core.houses import OUT, PHASES, ROLLBACK, HostHouse, Unreadable, run

# --- adoption ------------------------------------------------------------------------------------------------------


def test_an_adoption_that_fails_is_tried_again_and_spoils_no_other():
    async def scenario():
        one = HostHouse(store=Unreadable())
        one.executor.hold("research")
        tasks = [await one.launch() for _ in range(3)]
        await one.settle()
        await one.dies()
        one.executor.let_go("research")
        one.store.fail["events"] = 1
        two = HostHouse(like=one, host="two")
        await two.adopt()
        assert two.manager.running == 2
        for task_id in tasks[1:]:
            assert (await two.finish(task_id)).state == "completed"
        while (await two.store.find(tasks[0])).task.state != "completed":
            await two.settle()
            two.clock.advance(1)

    run(scenario())


def test_a_task_that_cannot_be_adopted_at_all_ends_with_the_reason():
    async def scenario():
        one = HostHouse()
        one.executor.hold("research")
        lost = await one.launch()
        fine = await one.launch()
        await one.settle()
        await one.dies()
        one.executor.let_go("research")
        # The log of the first holds what no release can fold.
        log = one.store._kept[lost].events
        log[1] = parse_event(log[1].wire.replace("research", "unheard_of"))
        two = HostHouse(like=one, host="two")
        await two.adopt()
        task = (await two.store.find(lost)).task
        assert (task.state, task.error.error.type) == ("failed", "phasenb.IllegalTransition")
        assert (await two.finish(fine)).state == "completed"

    run(scenario())


def test_a_task_that_is_cancelled_while_it_is_taken_up_has_ended_and_nothing_else(caplog):
    async def scenario():
        one = HostHouse()
        task_id = await one.launch(approve_before=("research",))
        await one.until(task_id, "awaiting_approval")
        await one.dies()
        two, three = HostHouse(like=one, host="two"), HostHouse(like=one, host="three")
        (adopted,) = await one.store.adopt("two", ("process",))
        await three.manager.cancel("ada", task_id, "bob")
        await two.manager.adopt(adopted)
        assert two.manager.running == 0
        assert (await two.store.find(task_id)).task.state == "cancelled"

    run(scenario())
    assert caplog.text == ""


@pytest.mark.parametrize("readable", [True, False])
def test_a_task_that_cannot_be_adopted_in_the_middle_of_a_rollback_says_what_ran_and_what_is_not_undone(readable):
    async def scenario():
        script = {"implementation": [[failed("OSError")]]}
        one = HostHouse(script, policy=ROLLBACK, undo=PHASES)
        one.manager.agents["other"] = "their.module:agent"
        one.executor.hold("undo planning")
        task_id = await one.launch(recovery={"phases": {"research": {"fallback": "other"}}})
        while ("planning", "compensation") not in one.ran():
            await one.settle()
        await one.dies()
        one.executor.let_go("undo planning")
        if not readable:
            log = one.store._kept[task_id].events
            log[1] = parse_event(log[1].wire.replace("research", "unheard_of"))
        two = HostHouse(like=one, host="two")  # which knows no such agent
        await two.adopt()
        task = (await two.store.find(task_id)).task
        assert task.state == "failed"
        assert ("Not undone: planning" in task.error.error.message) is readable
        _, result = (await two.store.results("ada"))[-1]
        assert (result.phase, result.kind, result.status) == ("planning", "compensation", "failed")

    run(scenario())


@pytest.mark.parametrize("known", [True, False])
def test_a_task_that_a_cancel_ended_while_it_was_adopted_is_left_as_it_is(known, caplog):
    async def scenario():
        one = HostHouse()
        task_id = await one.launch(approve_before=("research",))
        await one.until(task_id, "awaiting_approval")
        await one.dies()
        two, three = HostHouse(like=one, host="two"), HostHouse(like=one, host="three")
        (adopted,) = await two.store.adopt(two.manager.host, ("process",))
        events = two.store.events

        async def cancelled_after_the_look(*asked):
            found = await events(*asked)
            two.store.events = events
            await three.manager.cancel("ada", task_id, "ada")
            return found

        if known:
            await three.manager.cancel("ada", task_id, "ada")
        else:
            two.store.events = cancelled_after_the_look
        await two.manager.adopt(adopted)
        assert (await two.store.find(task_id)).task.state == "cancelled"
        assert two.manager.running == 0
        assert not caplog.records

    run(scenario())


def test_the_last_words_of_a_dead_host_are_told_before_what_follows():
    async def scenario():
        one = HostHouse()
        one.executor.hold("planning")
        task_id = await one.launch()
        await one.until(task_id, "running")
        await one.settle()
        two = HostHouse(like=one, host="two")
        await two.manager.follow("ada", task_id, (await one.events(task_id))[:2])
        assert two.told(task_id) == [1, 2]
        await one.dies()
        one.executor.let_go("planning")
        await two.adopt()
        task = await two.finish(task_id)
        assert two.told(task_id) == list(range(1, task.seq + 1))

    run(scenario())


# --- leases --------------------------------------------------------------------------------------------------------


def keeper_of(house, alive=lambda host: None, lease_s=10.0):
    info = HostInfo(house.manager.host, "machine", 1, "now")
    heart = LoopHeart(house.store, house.clock, lease_s)
    return Keeper(house.manager, house.store, house.clock, info, alive, heart, lease_s=lease_s)


def test_whether_another_host_lives_is_asked_off_the_loop():
    async def scenario():
        house, asked = HostHouse(), []
        await house.store.join(HostInfo("other", "machine", 2, "then"))
        keeper = keeper_of(house, alive=lambda host: asked.append((host.host, threading.current_thread())))
        await keeper.start()
        ((host, thread),) = asked
        assert host == "other"
        assert thread is not threading.current_thread()
        await keeper.stop_looking()
        await house.manager.stop()

    run(scenario())


def test_a_host_that_woke_up_after_its_lease_launches_under_a_new_name():
    async def scenario():
        house = HostHouse()
        keeper = keeper_of(house)
        await keeper.start()
        old = house.manager.host
        house.executor.hold("research")
        await house.launch()
        await house.store.adopt("other", ("process",), dead=old)
        task_id = await house.launch()  # before its next beat, which would have told it
        assert house.manager.host != old
        assert house.store._kept[task_id].lease.host == house.manager.host
        assert house.manager.running == 1, "it lets go of what is another host's now"
        assert [host.host for host in await house.store.hosts()] == [house.manager.host]
        await keeper.stop_looking()
        await house.manager.stop()

    run(scenario())


def test_a_slow_adoption_does_not_cost_the_adopter_its_own_lease():
    async def scenario():
        house = HostHouse(store=SlowAdoption())
        keeper = keeper_of(house)
        await keeper.start()
        house.store.slow = True
        for _ in range(8):
            house.clock.advance(2.5)
            await house.settle()
        (host,) = await house.store.hosts()
        assert host.counter >= 7
        await keeper.stop_looking()

    run(scenario())


class SlowAdoption(FakeStore):
    slow = False

    async def adopt(self, host, kinds, dead=None):
        if self.slow:
            await asyncio.Event().wait()
        return await super().adopt(host, kinds, dead)


def test_a_keeper_goes_on_when_its_store_fails_while_it_starts_again():
    async def scenario():
        house = HostHouse(store=NoJoin())
        keeper = keeper_of(house)
        await keeper.start()
        old = house.manager.host
        await house.store.leave(old)
        house.store.out = 2
        for _ in range(8):
            house.clock.advance(2.5)
            await house.settle()
        (host,) = await house.store.hosts()
        assert host.host == house.manager.host != old
        assert host.counter > 0
        await keeper.stop_looking()

    run(scenario())


class NoJoin(FakeStore):
    out = 0

    async def join(self, host):
        if self.out:
            self.out -= 1
            raise OUT
        await super().join(host)


def test_changes_that_could_not_be_handed_on_are_handed_on_later():
    async def scenario():
        one = HostHouse(store=ToldOnce())
        two = HostHouse(like=one, host="two")
        keeper = keeper_of(two)
        await keeper.start()
        task_id = await one.launch()
        task = await one.finish(task_id)
        one.store.out = 1
        one.store.news = True
        for _ in range(3):
            two.clock.advance(0.2)
            await two.settle()
        assert two.told(task_id) == list(range(1, task.seq + 1))
        await keeper.stop_looking()

    run(scenario())


class ToldOnce(FakeStore):
    """As SQLite: says once that something changed. ``out``: so many looks at a task fail."""

    out, news = 0, False

    async def quiet_until(self):
        news, self.news = self.news, False
        return None if news else 0

    async def find(self, task_id, *, owner=None):
        if self.out and owner is None:
            self.out -= 1
            raise OUT
        return await super().find(task_id, owner=owner)


def test_an_attempt_whose_lease_is_lost_at_a_checkpoint_is_stopped():
    async def scenario():
        house = HostHouse({"research": [[Checkpoint(value=1), finished()]]}, store=Taken())
        stopped = []
        slot_run = house.executor.reserve

        async def reserve(owner, runtime, **options):
            slot = await slot_run(owner, runtime, **options)
            run_of = slot.run

            def run(attempt):
                made = run_of(attempt)
                stop = made.stop

                async def noted(grace_s):
                    stopped.append(grace_s)
                    await stop(grace_s)

                made.stop = noted
                return made

            slot.run = run
            return slot

        house.executor.reserve = reserve
        task_id = await house.launch()
        await house.finish(task_id)
        assert stopped == [0]
        assert house.executor.out == 0

    run(scenario())


class Taken(FakeStore):
    async def add_checkpoint(self, task_id, phase, attempt, value, lease=None):
        raise LeaseLost("one", task_id)


# --- time and checkpoints ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_tasks_time_is_over_when_it_was_spent_whatever_the_wall_clock_says(jump):
    async def scenario():
        house = HostHouse()
        house.executor.hold("research")
        task_id = await house.launch(timeouts={"task": 100}, approve_before=("planning",))
        await house.settle()
        house.clock.set_back(jump)
        house.clock.advance(60)
        await house.settle()
        house.executor.let_go("research")
        task = await house.until(task_id, "awaiting_approval")
        house.clock.advance(5000)  # a person's time is not the task's
        await house.settle()
        house.executor.hold("planning")
        await house.manager.approve("ada", task_id, "ada", "planning", task.approval.seq)
        await house.settle()
        house.clock.advance(39)
        await house.settle()
        assert (await house.manager.snapshot("ada", task_id)).state == "running"
        house.clock.advance(1)
        assert (await house.until(task_id, "failed")).error.error.type == "phasenb.TaskTimeout"

    run(scenario())


def test_a_phase_that_is_run_again_after_a_denial_finds_no_checkpoint_of_the_run_that_was_refused():
    async def scenario():
        script = {"planning": [[Checkpoint(value="half"), finished("bad plan")], [failed()], [finished("plan")]]}
        house = HostHouse(script)
        task_id = await house.launch(approve_before=("implementation",))
        task = await house.until(task_id, "awaiting_approval")
        await house.manager.deny("ada", task_id, "ada", "implementation", task.approval.seq, "no", "planning")
        await house.until(task_id, "retrying")
        await house.settle()
        house.clock.advance(60)
        task = await house.until(task_id, "awaiting_approval")
        plans = [attempt for attempt in house.executor.attempts if attempt.phase == "planning"]
        assert [attempt.checkpoint for attempt in plans] == [None, None, None]
        with pytest.raises(Conflict):
            await house.manager.approve("ada", task_id, "ada", "implementation", 1)

    run(scenario())


def test_a_phase_that_is_run_again_after_a_rollback_starts_anew_and_a_retry_does_not():
    async def scenario():
        kept = Checkpoint(value="half")
        script = {
            "planning": [[kept, failed("ValueError")], [finished("plan")], [finished("plan")]],
            "implementation": [[kept, failed("OSError")], [finished("done")]],
        }
        policy = {
            "defaults": {"retry": {"jitter": 0, "maximum_attempts": 2}},
            "phases": {"implementation": {"retry": {"maximum_attempts": 1}, "rollback": {"to": "planning"}}},
        }
        house = HostHouse(script, policy=policy)
        task_id = await house.launch()
        assert (await house.finish(task_id)).state == "completed"
        found = [(a.phase, a.attempt, a.checkpoint and a.checkpoint.value) for a in house.executor.attempts]
        assert found == [
            ("research", 1, None), ("planning", 1, None), ("planning", 2, "half"), ("implementation", 1, None),
            ("planning", 3, None), ("implementation", 2, None),
        ]  # fmt: skip

    run(scenario())
