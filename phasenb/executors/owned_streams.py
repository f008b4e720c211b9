"""``sys.stdout`` and ``sys.stderr`` of a worker: whole lines into its pipes, and no lock that a fork leaves taken.

Rules:

* A line is one write, whatever threads write beside it: also under PYTHONUNBUFFERED, as a crash between text and
  newline would lose the line. ``sys.stdout.buffer`` keeps nothing back, as under ``python -u``.
* The lock that keeps lines whole is new in a forked child, as another thread may have held it at the fork. That of
  Python's own buffered streams can't be renewed, so none of them is in use here.
* What a thread that was left behind writes is dropped.
"""

from __future__ import annotations

import io
import select
import sys
import threading
from typing import Any

from phasenb.executors.left_threads import LeftThreads


class OwnedStream(io.TextIOWrapper):
    """One of the two."""

    def __init__(self, fd: int, name: str, left: LeftThreads) -> None:
        self._owned = _Descriptor(fd, f"<{name}>")
        super().__init__(self._owned, "utf-8", "backslashreplace", line_buffering=True)
        self._left = left

    def write(self, text: str) -> int:
        if self._left.silent():
            return len(text)
        self._owned.waiting += text
        return super().write(text)

    @property
    def waiting(self) -> str:
        """What was written and waits for its line's end. Any thread may ask: nothing is flushed by it, as who reads the
        pipe must never wait for room in it.
        """
        return self._owned.waiting

    def in_child(self) -> None:
        """In a forked child: what another thread had begun to write is its parent's to end."""
        self._owned.begin_anew()
        self._owned.mute = True
        try:
            self.flush()
        except ValueError:  # the phase closed it
            pass
        finally:
            self._owned.mute = False


class _Descriptor(io.FileIO):
    """A descriptor that takes all of what is written, at once."""

    def __init__(self, fd: int, name: str) -> None:
        super().__init__(fd, "w", closefd=False)
        self.name = name
        self.mute = False
        self.waiting = ""
        self.begin_anew()

    def begin_anew(self) -> None:
        self._turn = threading.RLock()  # a handler of signals may print in the middle of a print

    def write(self, data: Any) -> int:
        self.waiting = ""  # the text layer gives all that it kept back
        with memoryview(data) as given, given.cast("B") as whole:
            if self.mute:
                return len(whole)
            with self._turn:
                done = 0
                while done < len(whole):
                    written = super().write(whole[done:])
                    if written is None:  # a phase made it non-blocking, as asyncio's connect_write_pipe does
                        select.select((), (self,), ())
                    done += written or 0
            return done


def use_pipes(left: LeftThreads) -> tuple[OwnedStream, ...]:
    """Have print() write whole lines into the pipes at once, in UTF-8, whatever a person prints."""
    streams = []
    for fd, name in ((1, "stdout"), (2, "stderr")):
        getattr(sys, name).flush()
        stream = OwnedStream(fd, name, left)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
        streams.append(stream)
    return tuple(streams)
