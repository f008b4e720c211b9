"""Threads that an attempt leaves behind: what they write later is no line of the next attempt.

Rules:

* A thread that runs when its attempt has ended is left behind, and so is what it starts from then on. What such a
  thread prints, logs, warns or tells by its ``ctx`` is dropped: its attempt is over.
* A thread of a pool that waits for work then is not: what it does next is the next attempt's.
* What it writes past Python (native code, ``sys.stdout.buffer``, child processes) can't be told apart.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from types import FrameType
from weakref import WeakSet

# Where an idle thread of a pool stands: in the standard library's own loop, waiting in C for the next piece of work.
_IDLE = (("concurrent/futures/thread.py", "_worker"), ("multiprocessing/pool.py", "worker"))


class LeftThreads:
    """Those of one process. Any thread may ask ``silent``."""

    def __init__(self) -> None:
        self._left: WeakSet[threading.Thread] = WeakSet()
        self._watching = False

    def note(self, ours: Iterable[threading.Thread]) -> None:
        """An attempt has ended: whatever runs now but ``ours`` is left behind."""
        others = set(threading.enumerate()) - set(ours)
        if others:
            frames = sys._current_frames()
            self._left.update(thread for thread in others if not _idle(frames.get(thread.ident or 0)))
            self._watch()

    def silent(self) -> bool:
        """Whether the calling thread's attempt is over."""
        return bool(self._left) and threading.current_thread() in self._left

    def forget(self) -> None:
        """In a forked child: none of them is there."""
        self._left.clear()

    def _watch(self) -> None:
        """See what threads start that were left behind, a timer that sets the next one, say. A worker in which there is
        any is retired after its task, so nothing is undone here.
        """
        if self._watching:
            return
        self._watching = True
        start = threading.Thread.start

        def watched(self_: threading.Thread) -> None:
            if self.silent():
                self._left.add(self_)
            start(self_)

        threading.Thread.start = watched  # type: ignore[assignment, method-assign]


def _idle(frame: FrameType | None) -> bool:
    if frame is None:
        return False
    code = frame.f_code
    return any(code.co_name == name and code.co_filename.endswith(file) for file, name in _IDLE)
