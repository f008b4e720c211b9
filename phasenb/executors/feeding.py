"""Feeding: a host's word to all of its guardians that it lives, from whatever thread has it to say."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from phasenb.executors.guardian import WORD


class Feeding:
    """Lines of guardians. ``say`` from any thread; it never waits: a guardian that does not read is frozen itself.

    ``frozen``: whether nobody had a turn to say it lately, as this whole process was frozen.
    """

    def __init__(self, frozen: Callable[[], bool] = lambda: False) -> None:
        self.frozen = frozen
        self._lock = threading.Lock()
        self._lines: set[socket.socket] = set()

    def add(self, line: socket.socket) -> None:
        """``line`` is this object's from now on, and does not block."""
        line.setblocking(False)
        with self._lock:
            self._lines.add(line)

    def remove(self, line: socket.socket) -> None:
        """Close it. Idempotent."""
        with self._lock:
            if line in self._lines:
                self._lines.remove(line)
                line.close()

    def say(self, now: float) -> None:
        """The host lived at ``now``, on the clock that the processes of a machine share."""
        word = WORD.pack(now)
        with self._lock:
            for line in self._lines:
                with contextlib.suppress(OSError):  # it is gone, or reads nothing
                    line.send(word)
