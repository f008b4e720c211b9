"""A host without a server: real PhaseManager, WebSocketManager and handlers over the public fakes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from phasenb.config.settings import WebSocketSettings
from phasenb.core.phase_manager import PhaseManager
from phasenb.testing import FakeClock, FakeStore, ScriptedExecutor
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
        self._free: asyncio.Event | None = None

    def write(self, text: str) -> Awaitable[None] | None:
        if self.broken:
            raise ConnectionResetError("gone")
        self.frames.append(json.loads(text))
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
        if free is not None:
            free.set()

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["type"] == kind]

    def seqs(self, task_id: str) -> list[int]:
        return [frame["seq"] for frame in self.frames if frame.get("task_id") == task_id and "at" in frame]


class World:
    """One host: ``store``, ``executor``, ``manager``, ``hub``; ``client()`` connects to it."""

    def __init__(
        self, *, store: FakeStore | None = None, executor: ScriptedExecutor | None = None, **settings: Any
    ) -> None:
        self.store = store or FakeStore()
        self.executor = executor or ScriptedExecutor()
        self.hub = WebSocketManager(WebSocketSettings(**settings), self.store)
        self.manager = PhaseManager(
            self.store,
            {"process": self.executor},
            self.hub,
            FakeClock(),
            agents={"penguins": "package.module:agent"},
        )

    def client(self, owner: str = "ada", *, denied: tuple[str, ...] = (), **options: Any) -> Client:
        async def may(action: str, task_id: str | None) -> bool:
            return action not in denied

        return Client(self, Identity(owner=owner, name=owner.title(), may=may), **options)


class Client:
    """Speaks the protocol to one WebSocketMessageHandler."""

    def __init__(self, world: World, identity: Identity, **options: Any) -> None:
        self.wire = Wire()
        self.handler = WebSocketMessageHandler(self.wire, world.manager, world.hub, identity, **options)
        self._ids = 0

    async def send(self, type: str, **fields: Any) -> str:
        self._ids += 1
        message_id = f"c{self._ids}"
        await self.handler.receive(json.dumps({"id": message_id, "type": type, **fields}))
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


@pytest.fixture
def make_world() -> type[World]:
    return World


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., Awaitable[None]]:
    return until
