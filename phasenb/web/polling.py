"""A connection whose frames wait to be fetched, for a client that no WebSocket reaches. No Tornado here.

Rules: the frames are those of the socket, in the same order, each fetched once. An answer that is lost on its way is a
lost connection: the client opens another one and resumes its subscriptions, as after any break. A connection that
nobody fetches from for UNFETCHED_S is closed.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from phasenb.errors import ConnectionGone, RateLimited
from phasenb.web.connection import Frame, text_of
from phasenb.web.message_handler import WebSocketMessageHandler

WAIT_S = 10.0  # for the first frame: proxies give up on an answer after 30 s or more
UNFETCHED_S = 30.0
HELD_BYTES = 1 << 20  # until the queue in front of it fills
MAXIMUM = 1000  # of a host, at once ...
MAXIMUM_OF_USER = 100  # ... so that nobody keeps the others out

_GOING_AWAY = 1001


class PolledConnection:
    """web.connection.Connection."""

    def __init__(self) -> None:
        self.taken = 0
        self._frames: list[str] = []
        self._bytes = 0
        self._news = asyncio.Event()
        self._room: asyncio.Future[None] | None = None
        self._closed: ConnectionGone | None = None

    def write(self, frame: Frame) -> Awaitable[None] | None:
        if self._closed is not None:
            raise ConnectionError("the connection is closed")
        text = text_of(frame)
        self._frames.append(text)
        self._bytes += len(text)
        self._news.set()
        if self._bytes < HELD_BYTES:
            return None
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()
        return self._room

    async def fetch(self, wait_s: float) -> list[str]:
        """The frames that wait, the first for ``wait_s`` at most. Raises ConnectionGone when it is closed and empty."""
        try:
            async with asyncio.timeout(wait_s):
                await self._news.wait()
        except TimeoutError:
            return []
        if not self._frames and self._closed is not None:
            raise self._closed
        frames, self._frames = self._frames, []
        self._bytes = 0
        self.taken += len(frames)
        self._let_go()
        if self._closed is None:
            self._news.clear()
        return frames

    def close(self, code: int, reason: str) -> None:
        if self._closed is None:
            self._closed = ConnectionGone(code, reason)
            self._news.set()
            self._let_go()

    def _let_go(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)


@dataclass(eq=False)
class Polled:
    """``user``: (owner, name) of whoever opened it, and of nobody else."""

    connection: PolledConnection
    messages: WebSocketMessageHandler
    user: tuple[str, str]
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    fetching: int = 0
    ending: asyncio.TimerHandle | None = None

    async def receive(self, frame: bytes) -> None:
        """Take one frame. They are taken one after the other, as from a socket."""
        async with self.turn:
            await self.messages.receive(frame)


class PolledConnections:
    """Those of one host, by an id that only their client knows."""

    def __init__(self) -> None:
        self._open: dict[str, Polled] = {}

    def open(self, user: tuple[str, str], messages: Callable[[PolledConnection], WebSocketMessageHandler]) -> str:
        """A new one; its id. Raises RateLimited where there are too many."""
        own = sum(each.user == user for each in self._open.values())
        if len(self._open) >= MAXIMUM or own >= MAXIMUM_OF_USER:
            raise RateLimited(UNFETCHED_S)
        connection = PolledConnection()
        polled = Polled(connection, messages(connection), user)
        name = secrets.token_urlsafe(24)
        self._open[name] = polled
        polled.messages.opened()
        self._expect(name, polled)
        return name

    def of(self, name: str, user: tuple[str, str]) -> Polled:
        """Raises ConnectionGone: it never was, has ended, or is another user's."""
        polled = self._open.get(name)
        if polled is None or polled.user != user:
            raise ConnectionGone(_GOING_AWAY, "it has ended")
        return polled

    async def fetch(self, name: str, user: tuple[str, str], wait_s: float = WAIT_S) -> list[str]:
        """See PolledConnection.fetch. Raises ConnectionGone."""
        polled = self.of(name, user)
        polled.fetching += 1
        if polled.ending is not None:
            polled.ending.cancel()
        try:
            return await polled.connection.fetch(wait_s)
        except ConnectionGone:
            self._end(name)
            raise
        finally:
            polled.fetching -= 1
            self._expect(name, polled)

    def close(self) -> None:
        """The host stops."""
        for name in list(self._open):
            self._end(name)

    def _expect(self, name: str, polled: Polled) -> None:
        if not polled.fetching and name in self._open:
            polled.ending = asyncio.get_running_loop().call_later(UNFETCHED_S, self._end, name)

    def _end(self, name: str) -> None:
        polled = self._open.pop(name, None)
        if polled is not None:
            if polled.ending is not None:
                polled.ending.cancel()
            polled.messages.closed()
            polled.connection.close(_GOING_AWAY, "it was not fetched from any more, or the server is going away")
