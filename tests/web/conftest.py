"""A host without a server: real PhaseManager, WebSocketManager and handlers over the public fakes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from phasenb.config.settings import WebSocketSettings
from phasenb.core.attempts import EngineLimits
from phasenb.core.phase_manager import PhaseManager
from phasenb.core.ports import Append
from phasenb.core.task_schema import SCHEMA
from phasenb.dto import events as ev
from phasenb.dto.events import PhaseUpdate
from phasenb.dto.launch import Launch
from phasenb.testing import FakeClock, FakeStore, ScriptedExecutor
from phasenb.web.connection import Frame, text_of
from phasenb.web.identity import Identity
from phasenb.web.message_handler import WebSocketMessageHandler
from phasenb.web.websocket_manager import WebSocketManager

PHASES = ["research", "planning", "implementation"]


async def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    """Let the loop run until ``condition()``; a deadline, not a measure."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.001)


class Wire:
    """An in-memory transport. ``stall()``: writes wait until ``go_on()``, as with a client that does not read."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None
        self.broken = False
        self.taken = 0  # grows as the other side reads
        self._free: asyncio.Event | None = None

    def write(self, frame: Frame) -> Awaitable[None] | None:
        if self.broken:
            raise ConnectionResetError("gone")
        self.frames.append(json.loads(text_of(frame)))
        self.taken += self._free is None
        return self._wait(self._free) if self._free is not None else None

    async def _wait(self, free: asyncio.Event) -> None:
        await free.wait()

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)
        self.go_on()

    def stall(self) -> None:
        self._free = asyncio.Event()

    def go_on(self) -> None:
        free, self._free = self._free, None
        self.taken += 1
        if free is not None:
            free.set()

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["type"] == kind]

    def seqs(self, task_id: str) -> list[int]:
        return [frame["seq"] for frame in self.frames if frame.get("task_id") == task_id and "at" in frame]


class World:
    """One host: ``store``, ``executor``, ``manager``, ``hub``; ``client()`` connects to it. ``later(seconds)``: that
    much later, the hub looks at its connections.
    """

    def __init__(
        self,
        *,
        store: FakeStore | None = None,
        executor: ScriptedExecutor | None = None,
        limits: EngineLimits | None = None,
        **settings: Any,
    ) -> None:
        self.store = store or FakeStore()
        self.executor = executor or ScriptedExecutor()
        self._ahead_s = 0.0
        self.hub = WebSocketManager(
            WebSocketSettings(**settings), self.store, now=lambda: time.monotonic() + self._ahead_s
        )
        self.manager = PhaseManager(
            self.store,
            {"process": self.executor},
            self.hub,
            FakeClock(),
            limits=limits,
            agents={"penguins": "package.module:agent"},
        )

    def later(self, seconds: float) -> None:
        self._ahead_s += seconds
        self.hub.look()

    def client(self, owner: str = "ada", *, denied: tuple[str, ...] = (), **options: Any) -> Client:
        async def may(action: str, task_id: str | None) -> bool:
            return action not in denied

        return Client(self, Identity(owner=owner, name=owner.title(), may=may), **options)

    def client_with(self, rights: set[str], **options: Any) -> Client:
        """A client that may do what ``rights`` says at the time; ``known``: its authentication holds; ``broken``: who
        is asked raises.
        """

        async def may(action: str, task_id: str | None) -> bool:
            return action in rights

        async def known() -> bool:
            if "broken" in rights:
                raise RuntimeError("the hub does not answer")
            return "known" in rights

        return Client(self, Identity(owner="ada", name="Ada", may=may, known=known), **options)


class Client:
    """Speaks the protocol to one WebSocketMessageHandler. ``limited`` False: as from the host's own process."""

    def __init__(self, world: World, identity: Identity, *, limited: bool = True, **options: Any) -> None:
        self.wire = Wire()
        self._limited = limited
        self.handler = WebSocketMessageHandler(self.wire, world.manager, world.hub, identity, **options)
        self._ids = 0

    async def send(self, type: str, **fields: Any) -> str:
        self._ids += 1
        message_id = f"c{self._ids}"
        message = {"id": message_id, "type": type, **fields}
        if self._limited:
            await self.handler.receive(json.dumps(message))
        else:
            await self.handler.take(message)
        return message_id

    async def ask(self, type: str, **fields: Any) -> dict[str, Any]:
        """Send a command and return its first answer."""
        message_id = await self.send(type, **fields)
        await until(lambda: bool(self.answers(message_id)))
        return self.answers(message_id)[0]

    def answers(self, message_id: str) -> list[dict[str, Any]]:
        return [frame for frame in self.wire.frames if frame.get("reply_to") == message_id]

    async def hello(self, session: str = "nb:one") -> Client:
        self.handler.opened()
        assert (await self.ask("hello", protocol=1, session=session))["type"] == "welcome"
        return self

    async def launch(self, **fields: Any) -> str:
        answer = await self.ask("launch", **{"agent": "penguins", **fields})
        assert answer["type"] == "launched", answer
        return str(answer["task_id"])

    async def until_event(self, task_id: str, kind: str) -> None:
        await until(lambda: any(frame["task_id"] == task_id for frame in self.wire.of(kind)))


class Task:
    """Writes a task's log into a world's store, and tells the hub, as an engine would."""

    passed_s = 0.0  # of the clock, since it began

    def __init__(self, world: World, owner: str = "ada", session: str = "nb:one", name: str = "t") -> None:
        self.world, self.owner, self.state = world, owner, None
        self.common = {"task_id": name.rjust(26, "0"), "session": session}

    @property
    def task_id(self):
        return self.common["task_id"]

    async def add(self, cls, *, tell=True, **fields):
        seq = (self.state.seq if self.state else 0) + 1
        at = FakeClock().now() + timedelta(seconds=self.passed_s)
        event = cls(**self.common, seq=seq, at=at, **fields)
        first = self.state is None
        self.state = SCHEMA.apply(self.state, event)
        launch = Launch(agent="penguins") if first else None
        await self.world.store.append(Append(self.owner, self.state, (event,), launch=launch))
        if tell:
            self.world.hub.events(self.owner, self.state, (event,))
        return event

    async def start(self):
        await self.add(ev.TaskCreated, name="t", agent="a", phases=("research", "planning"))
        await self.add(ev.PhaseStarted, phase="research", attempt=1)

    async def toggle(self, *, tell=True):
        """Two more events that change nothing for good."""
        await self.add(ev.TaskPaused, by="ada", tell=tell)
        await self.add(ev.TaskResumed, by="ada", tell=tell)

    def progress(self, percent, attempt=1, phase="research"):
        update = PhaseUpdate(task_id=self.task_id, phase=phase, attempt=attempt, percent=percent)
        self.world.hub.progress(self.owner, self.state, update)
        return update


@pytest.fixture
def make_task() -> type[Task]:
    return Task


@pytest.fixture
def make_world() -> type[World]:
    return World


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., Awaitable[None]]:
    return until
