"""A transport as this package needs it, and the bounded queue in front of it.

Rules:

* Frames go out in the order in which they were taken. Where nothing waits and the transport takes a frame at once, it
  is written straight away; else one writer at a time empties the queue.
* Durable events are refused when the queue is full (the subscription reads them from the log later), never dropped.
* Waiting progress of a task is replaced in its place by newer progress, up to the task's next event.
* Replies are always taken: while the queue is full no further command is (web.message_handler). Who does not read is
  closed with 4008 (web.pace).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from phasenb.dto.base import Message

log = logging.getLogger(__name__)

TOO_SLOW = 4008

Frame = Message | str
"""What is sent: a message, or the JSON text of one, as the log has it."""


def text_of(frame: Frame) -> str:
    """The JSON text that goes over a wire."""
    return frame if isinstance(frame, str) else frame.wire


class Connection(Protocol):
    """What a transport gives. Its methods raise ConnectionError (or its awaitable does) once the other side is gone."""

    def write(self, frame: Frame) -> Awaitable[None] | None:
        """Send one frame. An awaitable ends when there is room for more, or the transport is closed; None: at once."""
        ...

    @property
    def taken(self) -> int:
        """A count that grows while the other side takes what was written, be it only a part of a frame."""
        ...

    def close(self, code: int, reason: str) -> None: ...


@dataclass(slots=True)
class Counts:
    """What all connections of a host carried, since it started."""

    messages_received: int = 0
    messages_sent: int = 0
    updates_coalesced: int = 0
    log_lines_dropped: int = 0
    slow_clients_closed: int = 0


class _Progress:
    """A place in the queue whose frame may still be replaced."""

    __slots__ = ("frame", "key")

    def __init__(self, key: str, frame: Frame) -> None:
        self.key = key
        self.frame = frame


class Outbox:
    """The frames of one connection that wait to be written: at most ``maximum``, and about ``maximum_bytes``."""

    def __init__(
        self, connection: Connection, *, maximum: int, maximum_bytes: int, counts: Counts | None = None
    ) -> None:
        self.closed = False
        self.counts = counts or Counts()
        self._connection = connection
        self._maximum = maximum
        self._maximum_bytes = maximum_bytes
        self._queue: deque[Frame | _Progress] = deque()
        self._bytes = 0
        self._progress: dict[str, _Progress] = {}
        self._writer: asyncio.Task[None] | None = None
        self._room: list[asyncio.Future[None]] = []

    @property
    def full(self) -> bool:
        return len(self._queue) >= self._maximum or self._bytes >= self._maximum_bytes

    @property
    def waiting(self) -> bool:
        """Whether something was written that the other side has not taken yet."""
        return self._writer is not None

    @property
    def taken(self) -> int:
        return self._connection.taken

    # --- taking frames ---------------------------------------------------------------------------------------------

    def reply(self, frame: Frame) -> None:
        """Take an answer to a command, full or not."""
        self._put(frame)

    def offer(self, frame: Frame, task_id: str | None = None) -> bool:
        """Take a frame if there is room. Naming the task keeps its waiting progress before this frame, for good."""
        if self._writer is not None and self.full:
            return False
        if task_id is not None and self._progress:
            self._progress.pop(task_id, None)
        self._put(frame)
        return True

    def progress(self, task_id: str, frame: Frame) -> bool:
        """Take a task's progress: in the place of what waits of it already, else at the end if there is room."""
        waiting = self._progress.get(task_id)
        if waiting is not None:
            self.counts.updates_coalesced += 1
            self._bytes += _size(frame) - _size(waiting.frame)
            waiting.frame = frame
            return True
        if self._writer is None:
            self._put(frame)
            return True
        if self.full:
            return False
        self._progress[task_id] = waiting = _Progress(task_id, frame)
        self._queue.append(waiting)
        self._bytes += _size(frame)
        return True

    async def room(self) -> None:
        """Return when the queue is at most half full, or closed."""
        while not self.closed and self._writer is not None and not self._half_empty():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._room.append(waiter)
            await waiter

    def close(self, code: int, reason: str) -> None:
        """Close the transport; what waits is not sent any more."""
        if not self.closed:
            self.counts.slow_clients_closed += code == TOO_SLOW
            self.lost()
            self._connection.close(code, reason)

    async def close_when_sent(self, code: int, reason: str) -> None:
        """Close the transport after the frames that wait now."""
        if self._writer is not None:
            await asyncio.wait([self._writer])
        self.close(code, reason)

    def lost(self) -> None:
        """The transport is gone: let go of everything. Called by the transport's owner, and by a failed write."""
        self.closed = True
        self._queue.clear()
        self._progress.clear()
        self._bytes = 0
        self._tell_room()

    # --- writing ---------------------------------------------------------------------------------------------------

    def _put(self, frame: Frame) -> None:
        if self.closed:
            return
        if self._writer is not None:
            self._queue.append(frame)
            self._bytes += _size(frame)
            return
        pending = self._write(frame)
        if pending is not None:
            self._writer = asyncio.get_running_loop().create_task(self._drain(pending), name="phasenb writer")

    def _write(self, frame: Frame) -> Awaitable[None] | None:
        self.counts.messages_sent += 1
        try:
            return self._connection.write(frame)
        except ConnectionError:
            self.lost()
            return None

    async def _drain(self, pending: Awaitable[None] | None) -> None:
        """Wait for the transport, then write what waits, until nothing does."""
        try:
            while True:
                if pending is not None:
                    await pending
                if not self._queue:
                    break
                pending = self._write(self._next())
                if self._room and self._half_empty():
                    self._tell_room()
        except ConnectionError:
            self.lost()
        finally:
            self._writer = None
            self._tell_room()

    def _next(self) -> Frame:
        frame = self._queue.popleft()
        if isinstance(frame, _Progress):
            if self._progress.get(frame.key) is frame:
                del self._progress[frame.key]
            frame = frame.frame
        self._bytes -= _size(frame)
        return frame

    def _half_empty(self) -> bool:
        return len(self._queue) * 2 <= self._maximum and self._bytes * 2 <= self._maximum_bytes

    def _tell_room(self) -> None:
        waiting, self._room = self._room, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)


def _size(frame: Frame) -> int:
    return len(text_of(frame))
