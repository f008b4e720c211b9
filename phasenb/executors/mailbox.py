"""Mailbox: what threads have for an event loop, delivered in one turn of it.

Rule: the loop is woken once, however many threads put something in before its turn comes: a wakeup costs a system call
and, as that gives the interpreter away, two switches of threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """``deliver(item)`` is called on the loop that this is made on, for each item, in the order of ``put``."""

    def __init__(self, deliver: Callable[[T], None]) -> None:
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._items: list[T] = []

    @property
    def here(self) -> bool:
        """Whether the running loop is the one that it delivers to."""
        return self._loop is asyncio.get_running_loop()

    def put(self, item: T) -> None:
        """From any thread. Dropped where the loop is closed: nobody listens any more."""
        with self._lock:
            self._items.append(item)
            if len(self._items) > 1:
                return  # its turn comes
        try:
            self._loop.call_soon_threadsafe(self._empty)
        except RuntimeError:
            return

    def _empty(self) -> None:
        with self._lock:
            items, self._items = self._items, []
        for item in items:
            self._deliver(item)
