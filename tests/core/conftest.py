"""A PhaseManager over fakes, with the agent that a test gives it, and a loop to run it on."""

import asyncio

import pytest

from phasenb.core.phase_manager import PhaseManager
from phasenb.dto.agent_spec import FunctionSpec
from phasenb.dto.events import parse_event
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.dto.policies import RecoveryPolicy
from phasenb.testing import FakeClock, FakeStore, RecordingPublisher, ScriptedExecutor

PHASES = ("research", "planning", "implementation")


class House:
    """A PhaseManager over fakes, whose agent has the functions that a test gives it."""

    def __init__(self, script=None, *, policy=None, undo=(), instead=(), agents=None):
        self.clock, self.store, self.publisher = FakeClock(), FakeStore(), RecordingPublisher()
        self.executor = ScriptedExecutor(script)
        functions = {name: FunctionSpec(name=name, open=True) for name in PHASES}
        self.executor.spec = self.executor.spec.changed(
            compensations={name: functions[name] for name in undo},
            fallbacks={name: functions[name] for name in instead},
        )
        self.manager = PhaseManager(
            self.store,
            {"process": self.executor},
            self.publisher,
            self.clock,
            policy=RecoveryPolicy.model_validate(policy or {"defaults": {"retry": {"jitter": 0}}}),
            roll=lambda: 0.5,
            agents=agents,
        )

    async def launch(self, **options):
        options.setdefault("phases", PHASES)
        launch = Launch(code="eA==", options=LaunchOptions(**options))
        return (await self.manager.launch("ada", "nb", launch)).task.task_id

    async def until(self, task_id, state):
        while (task := await self.manager.snapshot("ada", task_id)).state != state:
            await asyncio.sleep(0)
        return task

    async def finish(self, task_id):
        await asyncio.wait_for(self.manager.ended(task_id), 5)
        return (await self.store.find(task_id)).task

    async def events(self, task_id):
        return [parse_event(text) for text in await self.store.events(task_id, 0, 1000)]

    async def types(self, task_id):
        return [event.type for event in await self.events(task_id)]

    def ran(self):
        return [(attempt.phase, attempt.kind) for attempt in self.executor.attempts]


@pytest.fixture
def make_house():
    return House


@pytest.fixture
def run():
    return lambda scenario: asyncio.run(asyncio.wait_for(scenario, 10))
