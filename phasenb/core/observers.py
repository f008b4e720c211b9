"""Observers: those who hear of the tasks that a host carries, as one. What one of them raises is logged, once for
each kind of failure, and harms no task.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from phasenb.core.ports import Observer
from phasenb.dto.events import Event
from phasenb.dto.launch import Launch
from phasenb.dto.task_state import TaskState

log = logging.getLogger(__name__)


class Observers:
    """ports.Observer over any number of them, none included."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers = tuple(observers)
        self._failures: set[tuple[type, type]] = set()

    def began(self, task: TaskState, launch: Launch) -> None:
        self._each(lambda observer: observer.began(task, launch))

    def events(self, owner: str, task: TaskState, events: Sequence[Event]) -> None:
        if self._observers:
            self._each(lambda observer: observer.events(owner, task, events))

    def gone(self, task_id: str) -> None:
        self._each(lambda observer: observer.gone(task_id))

    def traceparent(self, task_id: str) -> str | None:
        found: list[str | None] = []
        self._each(lambda observer: found.append(observer.traceparent(task_id)))
        return next((each for each in found if each is not None), None)

    def _each(self, tell: Callable[[Observer], None]) -> None:
        for observer in self._observers:
            try:
                tell(observer)
            except Exception as error:  # theirs, or a library's of theirs: the task goes on
                failure = (type(observer), type(error))
                if failure not in self._failures:
                    self._failures.add(failure)
                    log.exception("%s could not follow a task; said once", type(observer).__name__)
