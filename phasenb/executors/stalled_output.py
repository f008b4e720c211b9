"""What a worker wrote and can't read itself: a long call of C holds its interpreter, so no thread of it has a turn.

Rules:

* The worker reads its own pipes (executors.capture), as masks and bounds are there. The host looks at them only now and
  then, and reads where the same bytes lie there since its last look, while the worker said nothing: one whose thread
  has its turns takes them within its tick.
* Both may read at once where a worker only was slow: then a line may come in two. None comes twice, none is lost.
* Not for an attempt with secrets, which only the worker can mask.
* One bound (limits.log_bytes) holds for both: what the worker sends counts here, and goes through here once the host
  has read a line itself.
"""

from __future__ import annotations

import array
import fcntl
import os
import termios
from collections.abc import Sequence
from contextlib import suppress

from phasenb.core.real_clock import now
from phasenb.core.reports import LogChunk
from phasenb.executors.lines import LineFolder, LogBound, StreamName

LOOK_S = 0.4  # what is printed is shown after two looks, within a second

_STREAMS: tuple[StreamName, StreamName] = ("stdout", "stderr")


class StalledOutput:
    """Of one attempt. ``fds``: the read ends of the worker's pipes, which do not block."""

    def __init__(self, fds: Sequence[int], maximum_bytes: int) -> None:
        self._bound = LogBound(maximum_bytes)
        self._read = False  # whether the host has read a line itself
        self._pipes = [(stream, fd, LineFolder()) for stream, fd in zip(_STREAMS, fds, strict=True)]
        self._waited = [0 for _ in fds]
        self._spoken = -1

    def look(self, spoken: int) -> list[LogChunk]:
        """Lines that the worker can't read; to be called once in LOOK_S. ``spoken``: how often it said anything."""
        silent, self._spoken = spoken == self._spoken, spoken
        waiting = [_waiting(fd) for _, fd, _ in self._pipes]
        for place, (stream, fd, folder) in enumerate(self._pipes):
            if silent and waiting[place] and waiting[place] == self._waited[place]:
                with suppress(BlockingIOError):  # it has read them by now
                    text = os.read(fd, waiting[place]).decode("utf-8", "replace")
                    self._add(stream, [*folder.feed(text), *folder.end()])  # or it came after what follows
        self._waited = waiting
        return self._taken()

    def sent(self, chunk: LogChunk) -> list[LogChunk]:
        """What may go now of lines that the worker sent."""
        if not self._read:
            self._bound.spend(chunk)
            return [chunk]
        for line in chunk.lines:
            self._bound.add(line.stream, line.text, line.at)
        self._bound.drop(chunk.dropped, now())
        return self._taken()

    def end(self) -> list[LogChunk]:
        """All that is left, at the attempt's end."""
        return self._bound.end()

    def _add(self, stream: StreamName, texts: list[str]) -> None:
        at, self._read = now(), True
        for text in texts:
            self._bound.add(stream, text, at)

    def _taken(self) -> list[LogChunk]:
        chunks = []
        while (chunk := self._bound.take()) is not None:
            chunks.append(chunk)
        return chunks


def _waiting(fd: int) -> int:
    waiting = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, waiting)
    return waiting[0]
