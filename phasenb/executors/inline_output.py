"""print() of a phase that runs in a thread: to the phase's log, and to nowhere else.

Rules: what a phase's own thread writes to ``sys.stdout`` and ``sys.stderr`` is the phase's (also what logging and
warnings write there); all else goes where it went before. Lines of threads that a phase starts, of native code and
of child processes can't be told apart inside one process: they stay in the notebook, and so does what a forked child
gives to ``ctx.log``. ``process`` captures them all.
"""

from __future__ import annotations

import os
import sys
import threading
from contextvars import ContextVar
from typing import Any

from phasenb.core.real_clock import monotonic, now
from phasenb.core.reports import LogChunk
from phasenb.executors.lines import SETTLE_S, LineFolder, LogBound, StreamName, unfinished_of

_NAMES: tuple[StreamName, StreamName] = ("stdout", "stderr")


class Output:
    """The lines of one attempt: written by its thread, taken by another."""

    def __init__(self, maximum_bytes: int) -> None:
        self._maximum_bytes = maximum_bytes
        self.heard = 0  # characters
        self._lock = threading.Lock()
        self._bound: LogBound | None = None
        self._folders: dict[StreamName, LineFolder] = {}
        self._settle_at = monotonic() + SETTLE_S

    def write(self, stream: StreamName, text: str) -> None:
        with self._lock:
            self.heard += len(text)
            folder = self._folders.get(stream)
            if folder is None:
                folder = self._folders[stream] = LineFolder()
            self._add(stream, folder.feed(text))

    def log(self, chunk: LogChunk) -> None:
        if _child.here:
            for line in chunk.lines:
                sys.stderr.write(f"{line.text}\n")
                sys.stderr.flush()
            return
        with self._lock:
            for line in chunk.lines:
                self._add(line.stream, [line.text])

    def take(self) -> LogChunk | None:
        """Lines that may be told now."""
        with self._lock:
            return None if self._bound is None else self._bound.take()

    def unfinished(self) -> str:
        """What is no line yet; asked by who takes, each time."""
        with self._lock:
            if monotonic() >= self._settle_at:
                self._settle_at = monotonic() + SETTLE_S
                for stream, folder in self._folders.items():
                    self._add(stream, folder.settle())
            return unfinished_of((folder, "") for folder in self._folders.values())

    def end(self) -> list[LogChunk]:
        """All that is left."""
        with self._lock:
            for stream, folder in self._folders.items():
                self._add(stream, folder.end())
            return [] if self._bound is None else self._bound.end()

    def _add(self, stream: StreamName, lines: list[str]) -> None:
        if not lines:
            return
        if self._bound is None:
            self._bound = LogBound(self._maximum_bytes)
        at = now()
        for line in lines:
            self._bound.add(stream, line, at)


current: ContextVar[Output | None] = ContextVar("phasenb_output", default=None)


class _Child:
    here = False  # whether this process was forked from the notebook's

    def begin(self) -> None:
        self.here = True
        current.set(None)


_child = _Child()
os.register_at_fork(after_in_child=_child.begin)


class RoutedStream:
    """Stands in for ``sys.stdout`` or ``sys.stderr``: all but ``write`` is the original's."""

    def __init__(self, name: StreamName, original: Any) -> None:
        self._phasenb_name: StreamName = name
        self._phasenb_original = original

    def write(self, text: str) -> int:
        output = current.get()
        if output is None:
            return int(self._phasenb_original.write(text) or 0)
        output.write(self._phasenb_name, text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._phasenb_original, name)


def route() -> None:
    """Put the routed streams in place. Again and again: notebooks and tests exchange the streams under us."""
    for name in _NAMES:
        stream = getattr(sys, name)
        if type(stream) is not RoutedStream and stream is not None:
            setattr(sys, name, RoutedStream(name, stream))


def unroute() -> None:
    """Put the originals back."""
    for name in _NAMES:
        stream = getattr(sys, name)
        if type(stream) is RoutedStream:
            setattr(sys, name, stream._phasenb_original)
