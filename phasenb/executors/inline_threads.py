"""Threads that are used again: starting one costs more than a whole no-op attempt."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from itertools import count

_numbers = count(1)


class WorkThread(threading.Thread):
    """Runs one job after another. ``job`` returns whether the thread may be used again."""

    def __init__(self) -> None:
        # A daemon: a phase that can't be stopped must not keep the interpreter from ending.
        super().__init__(name=f"phasenb-inline-{next(_numbers)}", daemon=True)
        self.inbox: queue.SimpleQueue[Callable[[], bool] | None] = queue.SimpleQueue()

    def run(self) -> None:
        while (job := self.inbox.get()) is not None:
            if not job():
                return


class Threads:
    """Idle threads. A job puts its own back with ``put`` before it tells its result, so that the next finds it."""

    def __init__(self) -> None:
        self._idle: list[WorkThread] = []
        self._closed = False

    def take(self) -> WorkThread:
        try:
            return self._idle.pop()
        except IndexError:
            thread = WorkThread()
            thread.start()
            return thread

    def put(self, thread: WorkThread) -> None:
        if self._closed:
            thread.inbox.put(None)
        else:
            self._idle.append(thread)

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().inbox.put(None)
