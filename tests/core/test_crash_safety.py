"""What a host must not lose when its store, or whoever asks it, fails at a bad moment: over fakes."""

import asyncio

import pytest

from phasenb.core.ports import Append
from phasenb.dto.phase import Checkpoint
from phasenb.errors import IllegalTransition, LaunchError, WorkerLost
from phasenb.testing import FakeStore, failed, finished
from tests.core.houses import ONCE, OUT, PHASES, ROLLBACK, HostHouse, Unreadable, run

# --- commands ------------------------------------------------------------------------------------------------------


def test_a_retry_of_a_task_that_has_not_ended_is_refused_at_once():
    async def scenario():
        house = HostHouse()
        house.executor.hold("planning")
        task_id = await house.launch()
        await house.until(task_id, "running")
        with pytest.raises(IllegalTransition, match="it has not ended"):
            await asyncio.wait_for(house.manager.retry("ada", task_id, "ada"), 5)
        house.executor.let_go("planning")
        assert (await house.finish(task_id)).state == "completed"

    run(scenario())


def test_a_command_is_refused_only_after_a_look_at_what_another_host_appended():
    async def scenario():
        one = HostHouse()
        one.executor.hold("research")
        task_id = await one.launch()
        await one.until(task_id, "running")
        two = HostHouse(like=one, host="two")
        await two.manager.pause("ada", task_id, "bob")
        # What this host knows of it says that it runs.
        assert (await one.manager.resume("ada", task_id, "ada")).state == "running"
        await two.manager.pause("ada", task_id, "bob")
        await two.manager.resume("ada", task_id, "bob")
        assert (await one.manager.pause("ada", task_id, "ada")).state == "paused", "it was no more as this host knew it"
        await two.manager.cancel("ada", task_id, "bob")
        for refused in (one.manager.pause, one.manager.resume):
            with pytest.raises(IllegalTransition):
                await refused("ada", task_id, "ada")
        assert (await one.finish(task_id)).state == "cancelled"

    run(scenario())


def test_a_command_for_a_task_that_was_lost_to_another_host_reaches_it_there():
    async def scenario():
        one = HostHouse()
        one.executor.hold("research")
        task_id = await one.launch()
        await one.until(task_id, "running")
        two = HostHouse(like=one, host="two")
        await one.store.adopt("two", ("process",), dead="one")
        assert (await one.manager.cancel("ada", task_id, "ada")).state == "cancelling"
        assert one.manager.running == 0
        await two.manager.follow("ada", task_id, await two.events(task_id))
        assert (await two.store.find(task_id)).task.state == "cancelling"

    run(scenario())


def test_a_launch_that_nobody_waits_for_any_more_is_carried_all_the_same():
    async def scenario():
        house = HostHouse(store=SlowStore())
        launching = asyncio.create_task(house.launch())
        await house.settle()
        launching.cancel()
        house.store.go_on.set()
        await house.settle()
        (task,) = await house.store.tasks("ada")
        assert task.state == "completed"

    run(scenario())


class SlowStore(FakeStore):
    """Answers its first append once it may."""

    def __init__(self):
        super().__init__()
        self.go_on = asyncio.Event()

    async def append(self, append: Append):
        appended = await super().append(append)
        await self.go_on.wait()
        return appended


@pytest.mark.parametrize("again", [False, True], ids=["launch", "retry"])
def test_a_task_is_carried_although_telling_of_it_fails(again):
    async def scenario():
        house = HostHouse({"planning": [[failed()], [finished()]]} if again else None, policy={"defaults": ONCE})
        task_id = await house.launch() if again else None
        if again:
            await house.finish(task_id)
        tell = house.publisher.events

        def broken(owner, task, events):
            house.publisher.events = tell
            raise RuntimeError("a listener's mistake")

        house.publisher.events = broken
        with pytest.raises(RuntimeError):
            await (house.manager.retry("ada", task_id, "ada") if again else house.launch())
        (task,) = await house.store.tasks("ada")
        assert (await house.finish(task.task_id)).state == "completed"

    run(scenario())


# --- rollback ------------------------------------------------------------------------------------------------------


def test_a_rollback_goes_on_after_a_crash_with_what_it_has_still_to_undo():
    async def scenario():
        script = {"implementation": [[failed("OSError")], [finished("done")]]}
        one = HostHouse(script, policy=ROLLBACK, undo=PHASES)
        one.executor.hold("undo planning")
        task_id = await one.launch()
        while ("planning", "compensation") not in one.ran():
            await asyncio.sleep(0)
        await one.dies()
        one.executor.let_go("undo planning")
        two = HostHouse(like=one, host="two")
        await two.adopt()
        assert (await two.finish(task_id)).state == "completed"
        undone = [attempt.phase for attempt in one.executor.attempts if attempt.kind == "compensation"]
        assert undone == ["implementation", "planning", "planning"]
        (closed,) = (event for event in await two.events(task_id) if event.type == "phase_rolled_back")
        assert closed.compensated == ("implementation", "planning")
        results = [result for _, result in await two.store.results("ada") if result.kind == "compensation"]
        assert [(result.phase, result.status) for result in results] == [
            ("implementation", "complete"),
            ("planning", "lost"),
            ("planning", "complete"),
        ]

    run(scenario())


def test_a_task_that_ends_in_the_middle_of_a_rollback_says_what_stays_as_it_is():
    async def scenario():
        house = HostHouse(
            {"implementation": [[failed("OSError")]]}, policy=ROLLBACK, undo=("planning", "implementation")
        )
        house.executor.hold("undo planning")
        task_id = await house.launch(timeouts={"task": 60})
        while house.executor.attempts[-1:] == [] or house.executor.attempts[-1].kind != "compensation":
            await asyncio.sleep(0)
        await house.settle()
        house.clock.advance(60)
        task = await house.finish(task_id)
        assert task.state == "failed"
        assert "(timeouts.task)\nNot undone: planning" in task.error.error.message

    run(scenario())


@pytest.mark.parametrize("runs", [True, False], ids=["a compensation runs", "a compensation waits to be tried again"])
def test_a_cancel_in_the_middle_of_a_rollback_says_what_stays_as_it_is(runs):
    async def scenario():
        script = {"implementation": [[failed("OSError", "boom")]], "undo planning": [[failed("ConnectionError")]]}
        policy = {"phases": {"implementation": {**ONCE, "rollback": {"to": "planning"}}}}
        house = HostHouse(script, policy=policy, undo=("planning", "implementation"))
        if runs:
            house.executor.hold("undo planning")
        task_id = await house.launch()
        await house.until(task_id, "running" if runs else "retrying")
        while ("planning", "compensation") not in house.ran():
            await asyncio.sleep(0)
        await house.manager.cancel("ada", task_id, "bob")
        task = await house.finish(task_id)
        assert (task.state, task.stopped.by, task.error.phase) == ("cancelled", "bob", "implementation")
        assert task.error.error.message == "boom\nNot undone: planning"
        assert (await house.events(task_id))[-1].error == task.error.error

    run(scenario())


def test_a_cancel_of_a_task_whose_host_is_gone_says_what_a_rollback_left():
    async def scenario():
        one = HostHouse({"implementation": [[failed("OSError", "boom")]]}, policy=ROLLBACK, undo=("planning",))
        one.executor.hold("undo planning")
        task_id = await one.launch()
        while ("planning", "compensation") not in one.ran():
            await asyncio.sleep(0)
        await one.dies()
        two = HostHouse(like=one, host="two")
        await two.manager.cancel("ada", task_id, "bob")
        await two.adopt()
        task = (await two.store.find(task_id)).task
        assert (task.state, task.error.error.message) == ("cancelled", "boom\nNot undone: planning")

    run(scenario())


def test_nothing_is_rolled_back_where_nobody_can_say_what_there_is_to_undo():
    async def scenario():
        house = HostHouse({"implementation": [[failed("OSError", "disk")]]}, policy=ROLLBACK, undo=("planning",))

        async def describe(*args, **options):
            raise LaunchError("no such module")

        house.executor.describe = describe
        task_id = await house.launch()
        task = await house.finish(task_id)
        assert (task.state, task.phase_named("planning").status) == ("failed", "complete")
        assert "disk\nNot rolled back" in task.error.error.message
        assert "no such module" in task.error.error.message

    run(scenario())


def test_a_worker_that_dies_of_a_question_is_asked_for_again_before_a_rollback():
    async def scenario():
        house = HostHouse({"implementation": [[failed("OSError")], [finished()]]}, policy=ROLLBACK, undo=("planning",))
        describe, deaths = house.executor.describe, [WorkerLost("process-1", "was killed")] * 2

        async def dying(*args, **options):
            if deaths:
                raise deaths.pop()
            return await describe(*args, **options)

        house.executor.describe = dying
        task_id = await house.launch()
        assert (await house.finish(task_id)).state == "completed"
        assert [a.phase for a in house.executor.attempts if a.kind == "compensation"] == ["planning"]

    run(scenario())


# --- results -------------------------------------------------------------------------------------------------------


def test_a_result_that_was_quicker_than_the_tasks_end_counts():
    async def scenario():
        house = HostHouse()
        house.executor.hold("research")
        task_id = await house.launch(timeouts={"task": 60})
        await house.until(task_id, "running")
        await house.settle()
        house.clock.advance(59.5)
        house.store.refuse = [OUT]
        house.executor.let_go("research")
        await house.settle()
        house.clock.advance(0.5)  # the task's time is over while its first result waits for the store
        await house.settle()
        task = await house.finish(task_id)
        assert (task.state, task.phase_named("research").status) == ("failed", "complete")
        ((_, result),) = await house.store.results("ada")
        assert (result.phase, result.status, result.output) == ("research", "complete", "research")

    run(scenario())


def test_an_end_from_outside_leaves_a_result_of_the_attempt_that_ran():
    async def scenario():
        house = HostHouse()
        house.executor.hold("research")
        task_id = await house.launch()
        await house.until(task_id, "running")
        live = house.manager._live[task_id]
        await house.manager._carrier.commit(live, lambda decision: decision.abort(failed("Broken").error))
        ((_, result),) = await house.store.results("ada")
        assert (result.phase, result.attempt, result.status, result.error.type) == ("research", 1, "failed", "Broken")
        house.executor.let_go("research")

    run(scenario())


class Forgetful(FakeStore):
    """Commits the appends of these event types once, and says that it could not."""

    def __init__(self, *types):
        super().__init__()
        self.types = set(types)

    async def append(self, append: Append):
        appended = await super().append(append)
        hit = {event.type for event in append.events} & self.types
        self.types -= hit
        if hit and append.events[0].seq > 1:
            raise OUT
        return appended


def test_a_commit_that_landed_although_the_store_said_no_counts_once():
    async def scenario():
        house = HostHouse(store=Forgetful("phase_started", "phase_complete", "task_complete"))
        task_id = await house.launch()
        task = await house.finish(task_id)
        assert task.state == "completed"
        assert (await house.types(task_id)) == [
            "task_created",
            *["phase_started", "phase_complete"] * 3,
            "task_complete",
        ]
        assert house.told(task_id) == list(range(1, task.seq + 1))
        assert [(a.phase, a.attempt) for a in house.executor.attempts] == [(phase, 1) for phase in PHASES]

    run(scenario())


# --- a store that can't be read ------------------------------------------------------------------------------------


def test_a_task_waits_for_a_store_that_cannot_be_read():
    async def scenario():
        retry = {"jitter": 0, "retryable": "any"}
        policy = {"defaults": {"retry": retry}, "thresholds": [{"errors": 9, "window": 60, "action": "abort"}]}
        script = {"research": [[Checkpoint(value=7), failed()], [failed()], [finished()]]}
        one = HostHouse(script, store=Unreadable(), policy=policy)
        task_id = await one.launch()
        await one.until(task_id, "retrying")
        await one.dies()
        one.store.fail = {"checkpoint": 2, "failures": 2}
        two = HostHouse(like=one, host="two")
        await two.adopt()
        assert (await two.finish(task_id)).state == "completed"
        assert one.store.fail == {"checkpoint": 0, "failures": 0}
        assert [attempt.checkpoint.value for attempt in one.executor.attempts[1:3]] == [7, 7]

    run(scenario())
