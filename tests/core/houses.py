"""A PhaseManager over fakes, with the agent that a test gives it: alone, or as one of several hosts of a store."""

import asyncio

from phasenb.core.phase_manager import PhaseManager
from phasenb.dto.agent_spec import FunctionSpec
from phasenb.dto.events import parse_event
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.dto.policies import RecoveryPolicy
from phasenb.errors import StoreUnavailable
from phasenb.testing import FakeClock, FakeStore, RecordingPublisher, ScriptedExecutor

PHASES = ("research", "planning", "implementation")
STEADY = {"defaults": {"retry": {"jitter": 0, "retryable": "any"}}}
ONCE = {"retry": {"maximum_attempts": 1}}
ROLLBACK = {"defaults": ONCE, "phases": {"implementation": {"rollback": {"to": "planning"}}}}
OUT = StoreUnavailable("fake", "the disk is full")


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario, 20))


class House:
    """A PhaseManager over fakes, whose agent has the functions that a test gives it. ``like``: another one, whose
    store, clock, executor and policy it shares. ``options`` are PhaseManager's.
    """

    def __init__(self, script=None, *, policy=None, undo=(), instead=(), store=None, like=None, **options):
        self.clock = like.clock if like else FakeClock()
        self.store = like.store if like else store or FakeStore()
        self.executor = like.executor if like else _executor(script, undo, instead)
        self.policy = policy or (like.policy if like else STEADY)
        self.publisher = RecordingPublisher()
        self.manager = PhaseManager(
            self.store,
            {"process": self.executor},
            self.publisher,
            self.clock,
            policy=RecoveryPolicy.model_validate(self.policy),
            roll=lambda: 0.5,
            **options,
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


def _executor(script, undo, instead):
    executor = ScriptedExecutor(script)
    functions = {name: FunctionSpec(name=name, open=True) for name in PHASES}
    executor.spec = executor.spec.changed(
        compensations={name: functions[name] for name in undo}, fallbacks={name: functions[name] for name in instead}
    )
    return executor


class HostHouse(House):
    """One of several hosts of a store: it dies, and takes up what others left."""

    def __init__(self, script=None, *, host="one", **more):
        super().__init__(script, host=host, **more)

    async def settle(self):
        for _ in range(100):
            await asyncio.sleep(0)

    async def finish(self, task_id):
        """The stored task once this host has let go of it, on a clock that moves as it has to."""
        while self.manager.newest_update(task_id) is not None or task_id in self.manager._live:
            await self.settle()
            if self.clock.sleeping:
                self.clock.advance(self.clock.sleeping[0])
        return (await self.store.find(task_id)).task

    def told(self, task_id):
        return [event.seq for event in self.publisher.told if getattr(event, "seq", 0) and event.task_id == task_id]

    async def dies(self):
        """As after SIGKILL: what it carried stays as it is, and another host may take it up."""
        await self.manager.stop()
        await self.store.leave(self.manager.host)

    async def adopt(self):
        for adopted in await self.store.adopt(self.manager.host, ("process",)):
            await self.manager.adopt(adopted)


class Unreadable(FakeStore):
    """Fails the next reads of some kinds: ``fail`` maps a method's name to how many times."""

    def __init__(self, **fail):
        super().__init__()
        self.fail = fail

    def _maybe(self, name):
        if self.fail.get(name, 0):
            self.fail[name] -= 1
            raise OUT

    async def checkpoint(self, task_id, phase, *, since=1):
        self._maybe("checkpoint")
        return await super().checkpoint(task_id, phase, since=since)

    async def failures(self, owner, session, since, limit):
        self._maybe("failures")
        return await super().failures(owner, session, since, limit)

    async def events(self, task_id, after_seq, limit):
        self._maybe("events")
        return await super().events(task_id, after_seq, limit)
