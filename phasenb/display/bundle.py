"""A task as a MIME bundle: what a saved or exported notebook keeps of it.

``application/vnd.phasenb.task+json`` is ``{task_id, snapshot}``: a front end that knows it can go on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from phasenb.display.html import task_html
from phasenb.display.text import task_text
from phasenb.dto.phase import LogLine
from phasenb.dto.task_state import TaskState
from phasenb.dto.values import Json

TASK_MIME = "application/vnd.phasenb.task+json"
_LONGEST_INPUT = 2_000  # bytes of JSON: a notebook's file is no place for data


def task_bundle(
    task: TaskState, log: Sequence[LogLine] = (), *, now: datetime, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """``{"text/html", "text/plain", TASK_MIME}``."""
    snapshot = task.model_copy(update={"inputs": {name: _short(value) for name, value in task.inputs.items()}})
    return {
        "text/html": task_html(task, log, now=now, notes=notes),
        "text/plain": task_text(task, now=now, notes=notes),
        TASK_MIME: {"task_id": task.task_id, "snapshot": snapshot.as_json()},
    }


def _short(value: Json) -> Json:
    size = len(orjson.dumps(value))
    return value if size <= _LONGEST_INPUT else f"({size:,} bytes of JSON)"
