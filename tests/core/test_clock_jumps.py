"""The wall clock is set back or forth by an hour: waits take as long as they would have, and nothing goes wrong."""

import asyncio

import pytest

from phasenb.core.phase_manager import PhaseManager
from phasenb.core.ports import HostInfo
from phasenb.core.silence import Watch
from phasenb.dto.events import parse_event
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.dto.policies import RecoveryPolicy
from phasenb.testing import FakeClock, FakeStore, RecordingPublisher, ScriptedExecutor, failed, finished

HOUR = 3600.0
JUMPS = pytest.mark.parametrize("jump", [HOUR, -HOUR])
PHASES = ("research", "planning", "implementation")


class House:
    def __init__(self, script=None, store=None, clock=None):
        self.clock, self.store, self.publisher = clock or FakeClock(), store or FakeStore(), RecordingPublisher()
        self.executor = ScriptedExecutor(script)
        retry = {"initial_interval": 10, "jitter": 0, "retryable": "any"}
        self.manager = PhaseManager(
            self.store,
            {"process": self.executor},
            self.publisher,
            self.clock,
            policy=RecoveryPolicy.model_validate({"defaults": {"retry": retry}}),
        )

    async def launch(self, **options):
        launch = Launch(code="eA==", options=LaunchOptions(phases=PHASES, **options))
        return (await self.manager.launch("ada", "nb", launch)).task.task_id

    async def until(self, task_id, state):
        while (await self.manager.snapshot("ada", task_id)).state != state:
            await asyncio.sleep(0)

    async def settle(self):
        for _ in range(50):
            await asyncio.sleep(0)

    async def state(self, task_id):
        return (await self.manager.snapshot("ada", task_id)).state


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario, 10))


@JUMPS
def test_a_retry_waits_its_own_delay(jump):
    async def scenario():
        house = House({"research": [[failed()], [finished()]]})
        task_id = await house.launch()
        await house.until(task_id, "retrying")
        await house.settle()
        house.clock.set_back(jump)
        house.clock.advance(9)
        await house.settle()
        assert await house.state(task_id) == "retrying"
        house.clock.advance(1)
        await house.until(task_id, "completed")

    run(scenario())


@JUMPS
def test_a_retry_that_another_host_takes_up_waits_no_longer_than_its_delay(jump):
    async def scenario():
        first = House({"research": [[failed()]]})
        task_id = await first.launch()
        await first.until(task_id, "retrying")
        await first.manager.stop()
        first.clock.set_back(jump)
        second = House(store=first.store, clock=first.clock)
        second.manager.host = "second"
        await first.store.leave("host")
        for adopted in await first.store.adopt(second.manager.host, ("process",)):
            await second.manager.adopt(adopted)
        await second.settle()
        first.clock.advance(10)
        await second.until(task_id, "completed")

    run(scenario())


@JUMPS
def test_a_limit_of_the_task_counts_the_time_that_passed(jump):
    async def scenario():
        house = House()
        house.executor.hold("research")
        task_id = await house.launch(timeouts={"task": 100})
        await house.executor.started.get()
        house.clock.set_back(jump)
        house.clock.advance(99)
        await house.settle()
        assert await house.state(task_id) == "running"
        house.executor.let_go("research")
        await house.until(task_id, "completed")
        events = [parse_event(text) for text in await house.store.events(task_id, 0, 100)]
        durations = [event.result.duration_s for event in events if event.type == "phase_complete"]
        assert min(durations) >= 0
        assert events[-1].duration_s >= 0

    run(scenario())


def test_leases_look_at_no_wall_clock():
    watch = Watch(10.0)
    other = HostInfo("b", "m", 1, "")
    assert watch.dead([other], 0.0, lambda host: None, 0.0) == []
    assert watch.dead([other], 9.9, lambda host: None, 0.0) == []
    assert watch.dead([other], 10.0, lambda host: None, 0.0) == [other]
