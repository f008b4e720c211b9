"""The one background thread of this process on whose event loop the synchronous clients and the embedded host live.

Rules: it is a daemon, so it never keeps a process alive; a forked child gets none and makes its own; it runs no user
code, so a busy kernel does not hold up its messages; it keeps the real time, whatever clock a cell or an inline phase
has put in its place.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from phasenb.core import real_clock

T = TypeVar("T")


class _RealTimeLoop(asyncio.SelectorEventLoop):
    def time(self) -> float:
        return real_clock.monotonic()


class LoopThread:
    """An event loop that runs on a daemon thread until the process ends."""

    def __init__(self) -> None:
        self.loop = _RealTimeLoop()
        self._thread = threading.Thread(target=self._serve, name="phasenb", daemon=True)
        self._thread.start()

    @property
    def current(self) -> bool:
        """Whether the caller is on this thread."""
        return threading.current_thread() is self._thread

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for what it returns. Ctrl-C stops the waiting and cancels ``work``."""
        if self.current:
            work.close()
            raise RuntimeError("this would wait for itself: use the async client and `await` on this thread")
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


_lock = threading.Lock()
_shared: LoopThread | None = None


def shared_loop() -> LoopThread:
    """This process's loop thread, started at the first call."""
    global _shared
    with _lock:
        if _shared is None:
            _shared = LoopThread()
        return _shared


def _forget() -> None:
    """A forked child has no other thread: its loop would never run."""
    global _shared, _lock
    _lock = threading.Lock()
    _shared = None


os.register_at_fork(after_in_child=_forget)
