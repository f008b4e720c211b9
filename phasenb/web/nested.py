"""NestedClients: the clients inside the phases of a host's tasks. They speak the clients' protocol, over the line that
their attempt has to the host (core.parent).

Rules: such a client is the task's owner, in the task's session unless it says another; what it launches has the task
as its ``parent``. It may do what its owner may, and bring code where the host takes any: the phase that asks is code
that its launcher was permitted to bring, or the administrator's own. It ends with its attempt; its tasks go on.

What a host holds for an attempt is bounded, whether its worker reads or not: an answer is made when the worker has
taken the one before it, and what waits to be done counts together. The line itself is never stopped, as the attempt's
own reports come by it too.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Any

import orjson

from phasenb.config.machine import machine_id
from phasenb.core.parent import Message, Send
from phasenb.core.phase_manager import PhaseManager
from phasenb.core.reports import Attempt
from phasenb.errors import BadMessage, RateLimited, TooLarge
from phasenb.web.api import TaskApi
from phasenb.web.connection import TOO_SLOW, Frame, text_of
from phasenb.web.http_protocol import EventsQuery, LogsQuery, SourceQuery
from phasenb.web.identity import Action, Identity
from phasenb.web.message_handler import WebSocketMessageHandler, error_message
from phasenb.web.websocket_manager import WebSocketManager

MAXIMUM_ANSWER_BYTES = 134_217_728  # half of what a frame of an attempt's line may have; more would end its worker
MAXIMUM_WAITING_BYTES = 67_108_864  # commands and questions of a phase that were sent and have to wait
MAXIMUM_CLIENTS = 100  # of a phase
_QUESTION_BYTES = 2_000  # what the host keeps of one that waits, beside its arguments
_RETRY_AFTER_S = 1.0
_ASK_LESS = "ask for the results of one task, or read the store itself by pn.memory()"


@dataclass(eq=False)
class NestedClients:
    """ports.Nested. ``url`` is what people call this host. Attempts start after ``serve`` only."""

    url: str
    allow_code: bool

    def serve(self, manager: PhaseManager, hub: WebSocketManager, api: TaskApi) -> None:
        self.manager, self.hub, self.api = manager, hub, api

    def open(self, attempt: Attempt, send: Send) -> NestedLine:
        return NestedLine(self, attempt, send)


class NestedLine:
    """ports.NestedLine of one attempt."""

    def __init__(self, clients: NestedClients, attempt: Attempt, send: Send) -> None:
        async def may(action: Action, task_id: str | None) -> bool:
            return action != "code" or clients.allow_code

        self.clients = clients
        self.identity = Identity(owner=attempt.owner, name=attempt.owner, may=may, task=attempt.task_id)
        self.send = send
        self._links: dict[int, _Link] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._waiting_bytes = 0
        self._waits: Counter[str] = Counter()
        self._over = False

    def take(self, message: Message, payload: bytes) -> None:
        if self._over:
            return  # said before its phase heard of its end, or by a thread that has outlived it
        kind = message["kind"]
        if kind == "open":
            self._open(message["link"])
        elif kind == "frame":
            link = self._links.get(message["link"])
            if link is not None:
                link.hear(payload)
        elif kind == "close":
            self.close(message["link"])
        elif kind == "call":
            self._ask(message)
        elif kind == "wait":
            self._waits[message["task_id"]] += 1
            self.clients.manager.waits(str(self.identity.task), message["task_id"])
        elif self._waits[message["task_id"]]:
            self._waits[message["task_id"]] -= 1
            self.clients.manager.goes_on(str(self.identity.task), message["task_id"])

    def end(self) -> None:
        self._over = True
        for task_id in self._waits.elements():
            self.clients.manager.goes_on(str(self.identity.task), task_id)
        self._waits.clear()
        for link in tuple(self._links):
            self.close(link)
        for call in self._calls:
            call.cancel()

    def reserve(self, size: int) -> bool:
        """Whether there is room for what was sent and has to wait; it is counted then, until its ``release``."""
        if self._waiting_bytes + size > MAXIMUM_WAITING_BYTES:
            return False
        self._waiting_bytes += size
        return True

    def release(self, size: int) -> None:
        self._waiting_bytes -= size

    def _open(self, number: int) -> None:
        if len(self._links) < MAXIMUM_CLIENTS:
            self._links[number] = _Link(self, number)
        else:
            reason = f"a phase may have {MAXIMUM_CLIENTS} clients at once: use one for many tasks"
            self.send({"kind": "lost", "link": number, "reason": reason}, b"")

    def close(self, number: int) -> None:
        link = self._links.pop(number, None)
        if link is not None:
            link.end()

    def _ask(self, message: Message) -> None:
        size = _QUESTION_BYTES + len(orjson.dumps(message["arguments"]))
        if not self.reserve(size):
            self._refuse(message["link"], RateLimited(_RETRY_AFTER_S))
            return
        call = asyncio.get_running_loop().create_task(self._answer(message), name="phasenb nested call")
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        call.add_done_callback(lambda call: self.release(size))

    async def _answer(self, message: Message) -> None:
        """One at a time: the next one is made when the worker has taken this one."""
        async with self._turn:
            number = message["link"]
            try:
                told = await _joined(answer(self.clients.api, self.identity, message["name"], message["arguments"]))
            except Exception as error:
                pending = self._refuse(number, error)
            else:
                pending = self.send({"kind": "answer", "link": number}, told)
                del told
            if pending is not None:
                await pending

    def _refuse(self, number: int, error: Exception) -> Awaitable[None] | None:
        problem = error_message(None, error)
        refusal = {"code": problem.code, "message": problem.message, "details": problem.details}
        return self.send({"kind": "refused", "link": number, **refusal}, b"")


async def answer(api: TaskApi, identity: Identity, name: str, arguments: dict[str, Any]) -> AsyncIterator[bytes]:
    """What ``GET phasenb/api/...`` answers, in chunks. Raises what that does."""
    if name == "events":
        yield await api.events(identity, arguments["task_id"], EventsQuery(after_seq=arguments["after_seq"]))
    elif name == "logs":
        yield await api.logs(identity, arguments["task_id"], LogsQuery(after=arguments["after"]))
    elif name == "source":
        query = SourceQuery(attempt=arguments["attempt"])
        found = await api.source(identity, arguments["task_id"], arguments["phase"], query)
        yield found.model_dump_json().encode()
    elif name == "results":
        chunks = await api.results(identity, task_id=arguments["task_id"], session=arguments["session"])
        async for chunk in chunks:
            yield chunk
    elif name == "health":
        yield (await api.health(identity, machine_id())).model_dump_json(by_alias=True).encode()
    else:
        raise BadMessage(f"{name[:40]!r} is nothing that can be asked in a phase")


async def _joined(chunks: AsyncIterator[bytes]) -> bytes:
    """Raises TooLarge, and reads no further then."""
    kept: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > MAXIMUM_ANSWER_BYTES:
            raise TooLarge(None, MAXIMUM_ANSWER_BYTES, _ASK_LESS)
        kept.append(chunk)
    return b"".join(kept)


class _Link:
    """web.connection.Connection of one client."""

    def __init__(self, line: NestedLine, number: int) -> None:
        clients = line.clients
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()
        self.taken = 0
        self._line = line
        self._number = number
        self._open = True
        self._handler = WebSocketMessageHandler(
            self, clients.manager, clients.hub, line.identity, server="phasenb (in a phase)"
        )
        self._handler.opened()
        self._serving = asyncio.get_running_loop().create_task(self._serve(), name="phasenb nested client")

    def hear(self, frame: bytes) -> None:
        """Take a command."""
        if not self._open:
            return
        if self._line.reserve(len(frame)):
            self._frames.put_nowait(frame)
        else:
            self.close(TOO_SLOW, "more commands wait than a host keeps: send fewer at once")

    def write(self, frame: Frame) -> Awaitable[None] | None:
        if not self._open:
            raise ConnectionError("the phase has ended")
        pending = self._line.send({"kind": "frame", "link": self._number}, text_of(frame).encode())
        if pending is not None:
            return self._until(pending)
        self.taken += 1
        return None

    async def _until(self, pending: Awaitable[None]) -> None:
        await pending
        self.taken += 1

    def close(self, code: int, reason: str) -> None:
        if self._open:
            self._line.send(
                {"kind": "lost", "link": self._number, "reason": f"closed with {code} {reason}".strip()}, b""
            )
            self._line.close(self._number)

    def end(self) -> None:
        if self._open:
            self._open = False
            self._serving.cancel()
            self._handler.closed()
            while not self._frames.empty():
                self._line.release(len(self._frames.get_nowait()))

    async def _serve(self) -> None:
        while True:
            frame = await self._frames.get()
            self._line.release(len(frame))
            await self._handler.receive(frame)
