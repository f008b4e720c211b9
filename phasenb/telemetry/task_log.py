"""TaskLog: what becomes of tasks, as log records of the server: launches, failed attempts, ends.

Rules: a record has ``task_id``, ``session`` and ``phase`` as fields, as every record about a task has; of a failure the
class of its error, and not its message, which is a person's own and may hold anything. The log is for those who run the
server: a class's name is a person's own too, and is one line here, of a bounded length.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from phasenb.core.live_task import log_fields
from phasenb.dto import events as ev
from phasenb.dto.launch import Launch
from phasenb.dto.task_state import TaskState

log = logging.getLogger("phasenb.tasks")  # a name for those who read logs
_NAME = 200  # characters of a class's name


class TaskLog:
    """ports.Observer."""

    def began(self, task: TaskState, launch: Launch) -> None:
        """See ports.Observer."""

    def events(self, owner: str, task: TaskState, events: Sequence[ev.Event]) -> None:
        """See ports.Observer."""
        for event in events:
            fields: dict[str, str | int] = {**log_fields(task)}
            if isinstance(event, ev.TaskCreated):
                log.info("task %s: launched", task.task_id, extra=fields)
            elif isinstance(event, ev.PhaseFailed):
                fields |= {"phase": event.phase, "attempt": event.attempt, "error_type": _one_line(event.error.type)}
                told = (task.task_id, event.phase, event.attempt, _one_line(event.error.type), event.next)
                log.warning("task %s: %s failed, attempt %d: %s; next: %s", *told, extra=fields)
            elif isinstance(event, ev.TaskError):
                fields |= {"error_type": _one_line(event.error.type)}
                log.error("task %s: failed: %s", task.task_id, _one_line(event.error.type), extra=fields)
            elif isinstance(event, ev.TaskCancelled):
                log.info("task %s: cancelled", task.task_id, extra=fields)
            elif isinstance(event, ev.TaskComplete):
                log.info("task %s: completed in %.3f s", task.task_id, event.duration_s, extra=fields)

    def gone(self, task_id: str) -> None:
        """See ports.Observer."""

    def traceparent(self, task_id: str) -> str | None:
        """See ports.Observer: nothing is traced here."""
        return None


def _one_line(name: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in name[:_NAME])
