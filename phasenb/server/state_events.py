"""StateEvents: state changes of tasks as Jupyter events, for ``{base_url}api/events/subscribe`` and event handlers.

Rules: only changes of state, since every listener gets every event; nothing of a task that another user may not see.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jupyter_events import EventLogger

from phasenb.dto.base import format_time
from phasenb.dto.events import Event
from phasenb.dto.launch import Launch
from phasenb.dto.task_state import TaskState

SCHEMA_ID = "https://events.jupyter.org/phasenb/task_state/v1"
_SCHEMA = Path(__file__).parent / "event_schemas" / "task_state.yaml"


class StateEvents:
    """ports.Observer that emits to a Jupyter server's event logger."""

    def __init__(self, logger: EventLogger) -> None:
        self._logger = logger
        self._states: dict[str, str] = {}
        if SCHEMA_ID not in logger.schemas:
            logger.register_event_schema(_SCHEMA)

    def began(self, task: TaskState, launch: Launch) -> None:
        """See ports.Observer."""

    def events(self, task: TaskState, events: Sequence[Event]) -> None:
        """See ports.Observer."""
        before, now = self._states.get(task.task_id), task.state.value
        if before == now:
            return
        self._states[task.task_id] = now
        data = {"task_id": task.task_id, "state": now, "previous": before, "seq": task.seq}
        self._logger.emit(schema_id=SCHEMA_ID, data={**data, "at": format_time(task.updated_at)})

    def gone(self, task_id: str) -> None:
        """See ports.Observer."""
        self._states.pop(task_id, None)

    def traceparent(self, task_id: str) -> str | None:
        """See ports.Observer: nothing is traced here."""
        return None
