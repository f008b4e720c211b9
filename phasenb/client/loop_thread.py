"""The one background thread of this process on whose event loop the synchronous clients and the embedded host live.

Rules: it is a daemon, so it never keeps a process alive; a forked child gets none and makes its own; it runs no user
code, so a busy kernel does not hold up its messages; it keeps the real time, whatever clock a cell or an inline phase
has put in its place.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from phasenb.core.parent import process_parent
from phasenb.errors.shortage import named_shortage

T = TypeVar("T")
_END_S = 2.0  # an upload may hang as long as its server does


class _RealTimeLoop(asyncio.SelectorEventLoop):
    time = staticmethod(time.monotonic)  # an attribute of a class: see real_clock


class LoopThread:
    """An event loop that runs on a daemon thread until the process ends. Raises WorkerLost where it may start none."""

    def __init__(self) -> None:
        self.loop = _RealTimeLoop()
        self._pool = ThreadPoolExecutor(thread_name_prefix="phasenb")
        self.loop.set_default_executor(self._pool)
        self._thread = threading.Thread(target=self._serve, name="phasenb", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self.loop.close()
            if (told := named_shortage(error)) is not error:
                raise told from error
            raise

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

    def end(self) -> None:
        """Stop the loop, and its own threads; one that is in a call which can't be ended is left behind."""
        self.run(_wound_up())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
        ending = threading.Thread(target=self._pool.shutdown, name="phasenb end", daemon=True)
        ending.start()
        ending.join(_END_S)

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


async def _wound_up() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


_lock = threading.Lock()
_shared: LoopThread | None = None


def shared_loop() -> LoopThread:
    """This process's loop thread, started at the first call."""
    global _shared
    with _lock:
        if _shared is None:
            _shared = LoopThread()
            parent = process_parent()
            if parent is not None:  # a worker's next task finds no thread of this one
                parent.at_end(_end)
        return _shared


def _end() -> None:
    global _shared
    with _lock:
        thread, _shared = _shared, None
    if thread is not None:
        thread.end()


def _forget() -> None:
    """A forked child has no other thread: its loop would never run."""
    global _shared, _lock
    _lock = threading.Lock()
    _shared = None


os.register_at_fork(after_in_child=_forget)
