"""StateEvents: state changes of tasks as Jupyter events, for ``{base_url}api/events/subscribe`` and event handlers.

Rules: only changes of state, since every listener gets every event; nothing of a task that another user may not see.
Jupyter gives an event to whoever listens, so that nothing is told where users are told apart by the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from jupyter_events import EventLogger

from phasenb.dto.base import format_time
from phasenb.dto.events import Event, TaskCreated, TaskRetried
from phasenb.dto.launch import Launch
from phasenb.dto.task_state import State, TaskState

SCHEMA_ID = "https://events.jupyter.org/phasenb/task_state/v1"
_SCHEMA = Path(__file__).parent / "event_schemas" / "task_state.yaml"


class StateEvents:
    """ports.Observer that emits to a Jupyter server's event logger. ``owner``: the one of all who come to that server;
    tasks of others, which a shared store may have, are left out.
    """

    def __init__(self, logger: EventLogger, owner: str) -> None:
        self._logger = logger
        self._owner = owner
        self._states: dict[str, State] = {}
        if SCHEMA_ID not in logger.schemas:
            logger.register_event_schema(_SCHEMA)

    def began(self, task: TaskState, launch: Launch) -> None:
        """See ports.Observer."""

    def events(self, owner: str, task: TaskState, events: Sequence[Event]) -> None:
        """See ports.Observer."""
        if owner != self._owner:
            return
        # A launch and a retry queue a task, though it may run at once, by events of the same decision.
        queued = next((event for event in events if isinstance(event, TaskCreated | TaskRetried)), None)
        if queued is not None:
            self._changed(task.task_id, State.QUEUED, queued.seq, queued.at)
        self._changed(task.task_id, task.state, task.seq, task.updated_at)

    def _changed(self, task_id: str, now: State, seq: int, at: datetime) -> None:
        before = self._states.get(task_id)
        if before != now:
            self._states[task_id] = now
            data = {"task_id": task_id, "state": now.value, "previous": before, "seq": seq, "at": format_time(at)}
            self._logger.emit(schema_id=SCHEMA_ID, data=data)

    def gone(self, task_id: str) -> None:
        """See ports.Observer."""
        self._states.pop(task_id, None)

    def traceparent(self, task_id: str) -> str | None:
        """See ports.Observer: nothing is traced here."""
        return None
