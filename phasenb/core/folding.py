"""A task from its whole log: what a host needs to decide about a task that it does not carry."""

from __future__ import annotations

from dataclasses import dataclass

from phasenb.core.history import History, values_after
from phasenb.core.ports import Store
from phasenb.core.task_schema import apply
from phasenb.dto.events import Event, parse_event
from phasenb.dto.task_state import TaskState
from phasenb.dto.values import Json
from phasenb.errors import UnknownTask

_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class Folded:
    """A log and its end: the task, its history, and the values that phases may ask for (encoded)."""

    task: TaskState
    history: History
    values: dict[str, Json]
    events: list[Event]


async def folded(store: Store, task_id: str) -> Folded:
    """Read and fold a log. Raises UnknownTask, StoreUnavailable."""
    task: TaskState | None = None
    history, values, events = History(), dict[str, Json](), list[Event]()
    while True:
        page = await store.events(task_id, task.seq if task else 0, _PAGE)
        for text in page:
            event = parse_event(text)
            events.append(event)
            task, history = apply(task, event), history.after(event)
            values = values_after(values, event, history.phases)
        if len(page) < _PAGE:
            break
    if task is None:
        raise UnknownTask(task_id)
    return Folded(task, history, values, events)
