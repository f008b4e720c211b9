"""Told: a Publisher that remembers what it told, so that a host does not tell its own events again when it meets them
in the store's log; observers hear of the tasks that this host carries.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from phasenb.core.observers import Observers
from phasenb.core.ports import Publisher
from phasenb.dto.events import Event, PhaseLog, PhaseUpdate
from phasenb.dto.task_state import TaskState

_KEPT = 10_000  # tasks: far more than can change between two looks at the log


class Told:
    """Hands everything on to ``publisher``."""

    def __init__(self, publisher: Publisher, observers: Observers) -> None:
        self._publisher = publisher
        self._observers = observers
        self._last: OrderedDict[str, int] = OrderedDict()

    def events(self, owner: str, task: TaskState, events: Sequence[Event], *, carried: bool = True) -> None:
        """``carried`` False: the task is another host's, or nobody's."""
        fresh = self.untold(events)
        if not fresh:
            return
        self._last[task.task_id] = fresh[-1].seq
        self._last.move_to_end(task.task_id)
        if len(self._last) > _KEPT:
            self._last.popitem(last=False)
        self._publisher.events(owner, task, fresh)
        if carried:
            self._observers.events(owner, task, fresh)

    def progress(self, owner: str, task: TaskState, update: PhaseUpdate) -> None:
        self._publisher.progress(owner, task, update)

    def log(self, owner: str, task: TaskState, log: PhaseLog) -> None:
        self._publisher.log(owner, task, log)

    def last(self, task_id: str) -> int:
        """The seq of the newest event that was told of a task; 0 where none was."""
        return self._last.get(task_id, 0)

    def untold(self, events: Sequence[Event]) -> Sequence[Event]:
        """The events of one task, in order, that were not told yet."""
        last = self._last.get(events[0].task_id, 0) if events else 0
        return events if not events or events[0].seq > last else [event for event in events if event.seq > last]
