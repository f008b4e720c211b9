"""PhaseManager over fakes: order, durability before telling, retry on a moved clock, cancel in every state."""

import asyncio
from itertools import pairwise

import pytest

from phasenb.core.attempts import EngineLimits
from phasenb.core.phase_manager import PhaseManager
from phasenb.core.reports import LogChunk
from phasenb.dto.events import BaseEvent, PhaseLog, PhaseUpdate, parse_event
from phasenb.dto.launch import Launch, LaunchOptions, Runtime
from phasenb.dto.phase import Checkpoint, LogLine, Step
from phasenb.dto.policies import RecoveryPolicy
from phasenb.dto.task_state import State
from phasenb.errors import (
    Conflict,
    IllegalTransition,
    LaunchError,
    QueueFull,
    StoreUnavailable,
    UnknownAgent,
    UnknownTask,
)
from phasenb.testing import FakeClock, FakeStore, RecordingPublisher, ScriptedExecutor, failed, finished

PHASES = ("research", "planning", "implementation")


class House:
    """A PhaseManager and all its fakes."""

    def __init__(self, script=None, **options):
        self.clock, self.store, self.publisher = FakeClock(), FakeStore(), RecordingPublisher()
        capacity = options.pop("capacity", 8)
        self.executor = ScriptedExecutor(script, capacity=capacity)
        retry = {"jitter": 0, "retryable": "any"}
        options.setdefault("policy", RecoveryPolicy.model_validate({"defaults": {"retry": retry}}))
        self.manager = PhaseManager(
            self.store, {"process": self.executor}, self.publisher, self.clock, roll=lambda: 0.5, **options
        )

    async def launch(self, **options):
        idempotency_key = options.pop("idempotency_key", None)
        options.setdefault("phases", PHASES)
        launch = Launch(code="eA==", options=LaunchOptions(**options), idempotency_key=idempotency_key)
        return await self.manager.launch("ada", "nb", launch)

    async def finish(self, task_id):
        await asyncio.wait_for(self.manager.ended(task_id), 5)
        return (await self.store.find(task_id)).task

    async def log_of(self, task_id):
        return [parse_event(text) for text in await self.store.events(task_id, 0, 1000)]

    async def until_sleeping(self):
        while not self.clock.sleeping:
            await asyncio.sleep(0)


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario, 10))


def test_a_task_runs_its_phases_in_order_and_values_follow():
    async def scenario():
        house = House()
        launched = await house.launch()
        task = await house.finish(launched.task.task_id)
        assert task.state is State.COMPLETED
        assert [(a.phase, sorted(a.values)) for a in house.executor.attempts] == [
            ("research", []),
            ("planning", ["research"]),
            ("implementation", ["planning", "research"]),
        ]
        types = [event.type for event in await house.log_of(task.task_id)]
        assert types == [
            "task_created",
            *["phase_started", "phase_complete"] * 3,
            "task_complete",
        ]
        assert house.executor.out == 0
        assert house.manager.running == 0

    run(scenario())


def test_what_was_told_is_exactly_what_is_stored_in_order():
    async def scenario():
        house = House({"research": [[failed(), finished(1)][:1], [finished(2)]]})
        launched = await house.launch()
        await house.until_sleeping()
        house.clock.advance(10)
        task = await house.finish(launched.task.task_id)
        told = [message.wire for message in house.publisher.told if isinstance(message, BaseEvent)]
        assert told == [event.wire for event in await house.log_of(task.task_id)]
        assert all(a.seq + 1 == b.seq for a, b in pairwise(await house.log_of(task.task_id)))

    run(scenario())


def test_a_failed_attempt_is_tried_again_after_its_delay_with_failure_and_checkpoint():
    async def scenario():
        house = House({"planning": [[Checkpoint(value=42), failed("OSError")], [finished("plan")]]})
        launched = await house.launch()
        await house.until_sleeping()
        task = await house.manager.snapshot("ada", launched.task.task_id)
        assert task.state is State.RETRYING
        assert house.clock.sleeping == [1.0]
        assert house.executor.out == 0, "a waiting task must not hold a worker"
        house.clock.advance(1.0)
        task = await house.finish(task.task_id)
        assert task.state is State.COMPLETED
        second = [a for a in house.executor.attempts if a.phase == "planning"][1]
        assert (second.attempt, second.checkpoint.value, second.failure.type) == (2, 42, "OSError")
        statuses = [(r.phase, r.attempt, r.status) for _, r in await house.store.results("ada")]
        assert ("planning", 1, "failed") in statuses
        assert ("planning", 2, "complete") in statuses

    run(scenario())


@pytest.mark.parametrize(("from_phase", "kept"), [(None, 42), ("research", None)])
def test_a_manual_retry_finds_the_checkpoint_unless_what_it_was_made_of_is_run_again(from_phase, kept):
    async def scenario():
        house = House({"planning": [[Checkpoint(value=42), failed("OSError")], [finished("plan")]]})
        launched = await house.launch(recovery={"defaults": {"retry": {"maximum_attempts": 1}}})
        task = await house.finish(launched.task.task_id)
        assert task.state is State.FAILED
        await house.manager.retry("ada", task.task_id, "ada", from_phase)
        assert (await house.finish(task.task_id)).state is State.COMPLETED
        again = [attempt for attempt in house.executor.attempts if attempt.phase == "planning"][1]
        assert (again.checkpoint and again.checkpoint.value) == kept

    run(scenario())


def test_attempts_run_out_and_the_task_fails_with_the_phases_error():
    async def scenario():
        house = House({"research": [[failed("ValueError", "bad row")]] * 3})
        launched = await house.launch(recovery={"defaults": {"retry": {"maximum_attempts": 2}}})
        await house.until_sleeping()
        house.clock.advance(1.0)
        task = await house.finish(launched.task.task_id)
        assert task.state is State.FAILED
        assert (task.error.phase, task.error.attempt, task.error.error.message) == ("research", 2, "bad row")

    run(scenario())


def test_progress_never_falls_and_ends_up_in_the_snapshot():
    async def scenario():
        steps = [Step(done=3, total=4, message="reading"), Step(percent=10), finished()]
        house = House({"research": [steps]})
        house.executor.hold("research")
        launched = await house.launch()
        await house.executor.started.get()
        while len([m for m in house.publisher.told if isinstance(m, PhaseUpdate)]) < 2:
            await asyncio.sleep(0)
        task = await house.manager.snapshot("ada", launched.task.task_id)
        assert task.phases[0].percent == 75.0
        assert task.percent == 25.0
        house.executor.let_go("research")
        await house.finish(task.task_id)

    run(scenario())


def test_log_lines_are_numbered_over_an_attempt_and_dropped_ones_counted():
    async def scenario():
        clock = FakeClock()
        line = LogLine(stream="stdout", text="x", at=clock.now())
        house = House({"research": [[LogChunk((line, line)), LogChunk((line,), dropped=5), finished()]]})
        launched = await house.launch()
        await house.finish(launched.task.task_id)
        told = [(m.first_line, m.dropped) for m in house.publisher.told if isinstance(m, PhaseLog)]
        assert told == [(1, 0), (8, 5)]

    run(scenario())


def test_cancel_of_a_running_attempt_ends_it_and_its_result_does_not_count():
    async def scenario():
        house = House()
        house.executor.hold("research")
        launched = await house.launch()
        await house.executor.started.get()
        await house.manager.cancel("ada", launched.task.task_id, "ada")
        await house.manager.cancel("ada", launched.task.task_id, "ada")
        task = await house.finish(launched.task.task_id)
        assert task.state is State.CANCELLED
        types = [event.type for event in await house.log_of(task.task_id)]
        assert types == ["task_created", "phase_started", "cancel_requested", "task_cancelled"]
        assert [r.status for _, r in await house.store.results("ada")] == ["cancelled"]
        await house.manager.cancel("ada", task.task_id, "ada")

    run(scenario())


def test_cancel_while_queued_and_while_retrying():
    async def scenario():
        house = House({"research": [[failed()], [failed()]]}, capacity=1)
        first = await house.launch()
        await house.until_sleeping()
        await house.manager.cancel("ada", first.task.task_id, "ada")
        assert (await house.finish(first.task.task_id)).state is State.CANCELLED

        house = House(capacity=1)
        house.executor.hold("research")
        running = await house.launch()
        await house.executor.started.get()
        waiting = await house.launch()
        queued = await house.manager.snapshot("ada", waiting.task.task_id)
        while queued.queue is None:
            await asyncio.sleep(0)
            queued = await house.manager.snapshot("ada", waiting.task.task_id)
        assert queued.queue.position == 1
        await house.manager.cancel("ada", waiting.task.task_id, "ada")
        assert (await house.finish(waiting.task.task_id)).state is State.CANCELLED
        house.executor.let_go("research")
        assert (await house.finish(running.task.task_id)).state is State.COMPLETED
        with pytest.raises(IllegalTransition):
            await house.manager.cancel("ada", running.task.task_id, "ada")

    run(scenario())


def test_priority_comes_before_order():
    async def scenario():
        house = House(capacity=1)
        house.executor.hold("research")
        first = await house.launch()
        await house.executor.started.get()
        later = [await house.launch(priority=priority) for priority in (0, 5, 0)]
        while (await house.manager.snapshot("ada", later[2].task.task_id)).queue is None:
            await asyncio.sleep(0)
        house.executor.let_go("research")
        for launched in (first, *later):
            await house.finish(launched.task.task_id)
        order = list(dict.fromkeys(a.task_id for a in house.executor.attempts))
        assert order == [launched.task.task_id for launched in (first, later[1], later[0], later[2])]

    run(scenario())


def test_the_same_key_is_the_same_task_and_so_is_a_repeated_request():
    async def scenario():
        house = House()
        first = await house.launch(key="2026-W47")
        again = await house.launch(key="2026-W47")
        assert (again.duplicate, again.task.task_id) == (True, first.task.task_id)
        with pytest.raises(Conflict):
            await house.launch(key="2026-W47", if_exists="error")
        new = await house.launch(key="2026-W47", if_exists="new")
        assert new.task.task_id != first.task.task_id
        one = await house.launch(idempotency_key="abc")
        two = await house.launch(idempotency_key="abc")
        assert two.duplicate
        assert one.task.task_id == two.task.task_id
        for launched in (first, new, one):
            await house.finish(launched.task.task_id)

    run(scenario())


def test_another_owner_sees_no_such_task():
    async def scenario():
        house = House()
        launched = await house.launch()
        await house.finish(launched.task.task_id)
        for command in (house.manager.snapshot("eve", launched.task.task_id), house.manager.cancel("eve", "x", "eve")):
            with pytest.raises(UnknownTask):
                await command

    run(scenario())


def test_a_refused_launch_leaves_nothing_behind():
    async def scenario():
        house = House(limits=EngineLimits(queued_tasks=1), capacity=1)
        for name in ("nobody", "os:system"):
            with pytest.raises(UnknownAgent):
                await house.manager.launch("ada", "nb", Launch(agent=name))
            with pytest.raises(UnknownAgent):
                await house.manager.agent_spec("ada", name)
        with pytest.raises(LaunchError, match="inline"):
            await house.launch(executor="inline")
        with pytest.raises(LaunchError, match="recovery"):
            await house.launch(recovery={"defaults": {"retyr": {}}})
        with pytest.raises(LaunchError, match="approve_before"):
            await house.launch(approve_before=("implementatoin",))
        with pytest.raises(LaunchError, match="does not know"):
            await house.launch(recovery={"defaults": {"fallback": "nobody"}})
        house.store.refuse.append(StoreUnavailable("db", "the disk is full"))
        with pytest.raises(StoreUnavailable):
            await house.launch()
        assert await house.store.tasks("ada") == []
        assert house.manager.running == 0
        house.executor.hold("research")
        running, waiting = await house.launch(), await house.launch()
        await house.executor.started.get()
        while (await house.manager.snapshot("ada", waiting.task.task_id)).queue is None:
            await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await house.launch()
        house.executor.let_go("research")
        for launched in (running, waiting):
            assert (await house.finish(launched.task.task_id)).state is State.COMPLETED

    run(scenario())


def test_a_store_that_fails_mid_task_is_waited_for_and_nothing_is_lost(caplog):
    async def scenario():
        house = House()
        house.executor.hold("research")
        launched = await house.launch()
        await house.executor.started.get()
        house.store.refuse += [StoreUnavailable("db", "the disk is full")] * 2
        house.executor.let_go("research")
        for _ in range(2):
            await house.until_sleeping()
            house.clock.advance(1)
        task = await house.finish(launched.task.task_id)
        assert task.state is State.COMPLETED
        assert [attempt.phase for attempt in house.executor.attempts] == ["research", "planning", "implementation"]
        told = [update.message for update in house.publisher.told if update.type == "phase_update"]
        assert told == ["waiting for the store: the disk is full"]
        record = next(record for record in caplog.records if "waits for its store" in record.message)
        where = {"task_id": task.task_id, "session": "nb", "phase": "research"}
        assert {name: getattr(record, name) for name in where} == where

    run(scenario())


def test_a_registered_agent_is_asked_again_after_a_while_and_for_each_environment(make_house, run):
    async def scenario():
        house = make_house(agents={"clerk": "their.module:agent"})
        asked, describe = [], house.executor.describe

        async def noted(owner, runtime, *rest, **options):
            asked.append(runtime)
            return await describe(owner, runtime, *rest, **options)

        async def launch(runtime):
            launched = await house.manager.launch("ada", "nb", Launch(agent="clerk", runtime=runtime))
            return [phase.name for phase in launched.task.phases]

        house.executor.describe = noted
        one = Runtime(python="3.11.7", executable="/one/python", cwd="/", host="here")
        other = one.changed(executable="/other/python")
        assert [await launch(one), await launch(one), await launch(other)] == [list(PHASES)] * 3
        assert asked == [one, other]
        spec = house.executor.spec
        house.executor.spec = spec.changed(phases=PHASES[:1], functions={"research": spec.functions["research"]})
        house.clock.advance(10)
        assert await launch(one) == ["research"]
        await house.manager.stop()

    run(scenario())
