"""What a phase writes, in a worker: print(), native code and child processes alike, logging and warnings.

Rules:

* File descriptors 1 and 2 are pipes that the host made; everything below Python ends up there too. The host holds
  their other ends as well, so that the last words of a worker that dies are not lost.
* Lines keep their order within each stream. All lines of an attempt are sent before its Outcome. What is written
  between two attempts belongs to none, and is dropped; so is what a thread writes that another attempt left behind.
* A forked child writes what it logs to descriptor 2: it neither reads the pipes nor takes a lock of its parent's.
* What is read is sent at once: lines that wait in this process would die with it. So the pipes are read once in
  SEND_S, or when they fill, and not at each write: two threads that wake each other for every line are slow. Of
  ``ctx.log`` and logging, which no pipe keeps, a crash takes SEND_S at most.
"""

from __future__ import annotations

import array
import codecs
import ctypes
import fcntl
import functools
import logging
import os
import termios
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from phasenb.core.real_clock import monotonic, now
from phasenb.core.reports import LogChunk
from phasenb.executors import forked
from phasenb.executors.left_threads import LeftThreads
from phasenb.executors.lines import SETTLE_S, LineFolder, LogBound, StreamName, unfinished_of
from phasenb.executors.owned_streams import OwnedStream

SEND_S = 0.05
_READ_BYTES = 65_536
_PIPE_BYTES = 65_536  # where the system can't say how much a pipe holds
_FORMAT = logging.Formatter("%(levelname)s %(name)s: %(message)s")

_libc = ctypes.CDLL(None)


class Pipe:
    """One captured descriptor: its read end, and the text that waits for its line's end."""

    def __init__(self, stream: StreamName, fd: int) -> None:
        self.stream: StreamName = stream
        self.fd = fd
        self.heard = 0  # bytes, ever
        self.waiting: Callable[[], str] = str  # what Python's own stream keeps back
        self._restart()
        os.set_blocking(fd, False)
        size: int | None = getattr(fcntl, "F_GETPIPE_SZ", None)
        self._full = (_PIPE_BYTES if size is None else fcntl.fcntl(fd, size)) // 4

    def _restart(self) -> None:
        self.folder = LineFolder()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self) -> list[str]:
        """The lines complete now. Takes what is there at its start and no more, so an endless writer can't hold it."""
        lines: list[str] = []
        left = self._waiting()
        while left > 0:
            data = os.read(self.fd, min(left, _READ_BYTES))
            left -= len(data)
            self.heard += len(data)
            lines += self.folder.feed(self._decoder.decode(data))
        return lines

    def fills(self) -> bool:
        """Whether its writer may soon have to wait."""
        return self._waiting() >= self._full

    def _waiting(self) -> int:
        waiting = array.array("i", [0])
        fcntl.ioctl(self.fd, termios.FIONREAD, waiting)
        return waiting[0]

    def end(self) -> list[str]:
        lines = self.read() + self.folder.feed(self._decoder.decode(b"", True)) + self.folder.end()
        self._restart()
        return lines


class Capture:
    """The output of the attempt that runs. Any thread may call it; ``send`` gets chunks in order."""

    def __init__(
        self, stdout_fd: int, stderr_fd: int, send: Callable[[LogChunk], None], left: LeftThreads | None = None
    ) -> None:
        self._pipes = (Pipe("stdout", stdout_fd), Pipe("stderr", stderr_fd))
        self._send = send
        self._lock = threading.RLock()
        self._bound: LogBound | None = None
        self._settle_at = 0.0
        self._sent_at = 0.0
        self._left = left or LeftThreads()
        self._in_child = False
        self.fds = (stdout_fd, stderr_fd)

    @property
    def heard(self) -> int:
        """Bytes taken in so far: they grow while somebody writes, whole lines or not."""
        return sum(pipe.heard for pipe in self._pipes)

    def unfinished(self) -> str:
        """What was written and is no line yet."""
        with self._lock:
            return unfinished_of((pipe.folder, pipe.waiting()) for pipe in self._pipes)

    def know(self, *streams: OwnedStream) -> None:
        """The streams of Python that write into the pipes: a line that is not ended waits in them."""
        for pipe, stream in zip(self._pipes, streams, strict=True):
            pipe.waiting = lambda stream=stream: stream.waiting  # type: ignore[misc]

    def begin(self, maximum_bytes: int, mask: Callable[[str], str] | None = None) -> None:
        with self._lock:
            for pipe in self._pipes:
                pipe.end()
            self._bound = LogBound(maximum_bytes, mask)
            self._settle_at = monotonic() + SETTLE_S

    def end(self) -> None:
        """Send all that the attempt wrote; it is over."""
        forked.flush()
        _libc.fflush(None)  # what C code printed waits in C's own buffers
        with self._lock:
            bound, self._bound = self._bound, None
            if bound is None:
                return
            for pipe in self._pipes:
                _add(bound, pipe.stream, pipe.end())
            for chunk in bound.end():
                self._send(chunk)

    def relieve(self) -> None:
        """Take in and send what was written, where its writer may soon have to wait, or nobody listens for it."""
        with self._lock:
            if self._bound is None or any(pipe.fills() for pipe in self._pipes):
                self.tick()

    def tick(self) -> None:
        """Take in and send what was written."""
        with self._lock:
            self._take_in()
            if self._bound is None:
                return
            if monotonic() >= self._settle_at:
                self._settle_at = monotonic() + SETTLE_S
                for pipe in self._pipes:
                    _add(self._bound, pipe.stream, pipe.folder.settle())
            self._send_taken(self._bound)

    def log(self, text: str) -> None:
        """Add to the stream ``log``, after what was printed before."""
        if self._in_child:
            forked.write(text)
            return
        if self._left.silent():
            return
        with self._lock:
            self._take_in()
            if self._bound is not None:
                _add(self._bound, "log", text.split("\n"))
                if monotonic() - self._sent_at >= SEND_S:
                    self._send_taken(self._bound)

    def _take_in(self) -> None:
        for pipe in self._pipes:
            lines = pipe.read()
            if lines and self._bound is not None:
                _add(self._bound, pipe.stream, lines)

    def _send_taken(self, bound: LogBound) -> None:
        while (chunk := bound.take()) is not None:
            self._send(chunk)
            self._sent_at = monotonic()

    def in_child(self) -> None:
        """This is a forked child: the pipes are its parent's."""
        self._in_child = True
        for fd in self.fds:
            os.close(fd)

    def add(self, chunk: LogChunk) -> None:
        """Lines of ``ctx.log``."""
        for line in chunk.lines:
            self.log(line.text)

    @contextmanager
    def python(self) -> Iterator[None]:
        """Have logging and warnings told here inside the block; filters of warnings are put back after it.

        A phase that sets logging up by itself finds it as in a new process: ``basicConfig`` does nothing where the root
        has a handler, so ours goes before. What its handlers write, on stderr say, is told as what it is.
        """
        root = logging.getLogger()
        handler = _Handler(self)
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        configure = logging.basicConfig

        @functools.wraps(configure)
        def basic_config(**options: Any) -> None:
            if root.handlers == [handler]:
                root.removeHandler(handler)
            configure(**options)

        logging.basicConfig = basic_config
        try:
            # Also forgets which warnings were shown: an attempt sees its own, whatever ran in this worker before.
            with warnings.catch_warnings():
                warnings.showwarning = self._warning
                yield
        finally:
            logging.basicConfig = configure
            root.removeHandler(handler)

    def _warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        self.log(f"{category.__name__}: {message} ({filename}, line {lineno})")


class _Handler(logging.StreamHandler[TextIO]):
    """One of those that write to a console, for whoever redirects these for a while (tqdm.contrib.logging)."""

    def __init__(self, capture: Capture) -> None:
        super().__init__()  # of any level: which records there are is for the loggers' levels to say
        self._capture = capture
        self.setFormatter(_FORMAT)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:  # arguments that don't fit the message: logging's own way to tell it, on stderr
            self.handleError(record)
            return
        self._capture.log(text)


def _add(bound: LogBound, stream: StreamName, lines: list[str]) -> None:
    at = now()
    for line in lines:
        bound.add(stream, line, at)
