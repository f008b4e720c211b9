"""Waits: which running tasks wait for which, and who lends a place. Pure.

Rules: a phase that waits for a task uses no processor, so its place is the awaited task's meanwhile. That holds along
a chain: a task that waits for a parent lends a place to the grandchild too. Only a place of the same executor is lent,
and only to an awaited task: all others keep to the capacity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator


class Waits:
    def __init__(self) -> None:
        self._waiters: dict[str, Counter[tuple[str, str]]] = {}  # awaited task -> (waiting task, its executor)

    def begin(self, waiter: str, executor: str, awaited: str) -> None:
        self._waiters.setdefault(awaited, Counter())[waiter, executor] += 1

    def end(self, waiter: str, executor: str, awaited: str) -> None:
        """Take back one ``begin``; one that was never made is no error: its attempt has ended."""
        waiters = self._waiters.get(awaited)
        if waiters is None:
            return
        waiters[waiter, executor] -= 1
        self._waiters[awaited] = +waiters  # without those that are at 0
        if not self._waiters[awaited]:
            del self._waiters[awaited]

    @property
    def awaited(self) -> tuple[str, ...]:
        return tuple(self._waiters)

    def lends(self, task_id: str, executor: str) -> bool:
        """Whether somebody in a place of this executor waits for the task, itself or through others."""
        return any(kind == executor for kind in self._along(task_id, {task_id}))

    def _along(self, task_id: str, seen: set[str]) -> Iterator[str]:
        for waiter, executor in self._waiters.get(task_id, ()):
            yield executor
            if waiter not in seen:
                seen.add(waiter)
                yield from self._along(waiter, seen)
