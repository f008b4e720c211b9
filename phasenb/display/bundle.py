"""A task as a MIME bundle: what a saved or exported notebook keeps of it.

``application/vnd.phasenb.task+json`` is ``{task_id, snapshot, at, epoch, owner, notes}``: JupyterLab shows it live from
its own server, before any widget and without a kernel. So it is there only where that server has the task.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from phasenb.display.html import task_html
from phasenb.display.text import task_text
from phasenb.dto.base import format_time
from phasenb.dto.phase import LogLine
from phasenb.dto.task_state import TaskState
from phasenb.dto.values import Json

TASK_MIME = "application/vnd.phasenb.task+json"
_LONGEST = 2_000  # bytes of JSON, of an input or of what waits for approval: a notebook's file is no place for data


def task_bundle(
    task: TaskState,
    log: Sequence[LogLine] = (),
    *,
    now: datetime,
    styled: bool = True,
    notes: Sequence[str] = (),
    epoch: str | None = None,
    owner: str | None = None,
) -> dict[str, Any]:
    """``{"text/html", "text/plain"}``, and TASK_MIME where the page's server has the task.

    ``epoch``: of that server's store, so that a page can tell a store that is gone from a task that is; None: no such
    server. ``owner``: whose the task is there, which another user's page then says. ``styled`` as in task_html.
    """
    bundle: dict[str, Any] = {
        "text/html": task_html(task, log, now=now, notes=notes, styled=styled),
        "text/plain": task_text(task, now=now, notes=notes),
    }
    if epoch is not None:
        snapshot = _without_data(task).as_json()
        known = {"at": format_time(now), "epoch": epoch, "owner": owner, "notes": list(notes)}
        bundle[TASK_MIME] = {"task_id": task.task_id, "snapshot": snapshot, **known}
    return bundle


def _without_data(task: TaskState) -> TaskState:
    gate = task.approval and task.approval.model_copy(update={"output": _short(task.approval.output)})
    return task.model_copy(update={"inputs": short_inputs(task), "approval": gate})


def short_inputs(task: TaskState) -> dict[str, Json]:
    """The inputs, long ones as their size."""
    return {name: _short(value) for name, value in task.inputs.items()}


def _short(value: Json) -> Json:
    size = len(orjson.dumps(value))
    return value if size <= _LONGEST else f"({size:,} bytes of JSON)"
