"""Values of dto from rows, and back. Pure: no cursor, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from phasenb.core.ports import StoredTask
from phasenb.dto import bounds
from phasenb.dto.base import format_time
from phasenb.dto.events import PhaseLog
from phasenb.dto.launch import Launch
from phasenb.dto.phase_result import PhaseResult
from phasenb.dto.task_state import TaskState
from phasenb.dto.values import Json

Row = Sequence[Any]


def stored_task(row: Row) -> StoredTask:
    """From (owner, snapshot, inputs, notebook, path): a notebook that is known is where it is now."""
    owner, snapshot, inputs, notebook, path = row
    fields = {**orjson.loads(snapshot), "inputs": orjson.loads(inputs)}
    if notebook is not None:
        fields["notebook"] = path
    return StoredTask(owner, TaskState.model_validate(fields))


def task_values(task: TaskState) -> dict[str, Any]:
    """The columns of ``tasks`` that each event changes."""
    return {
        "state": task.state.value,
        "seq": task.seq,
        "updated_at": format_time(task.updated_at),
        "snapshot": task.model_dump_json(exclude={"inputs"}),
    }


def launch(row: Row) -> Launch:
    """From (body, inputs, code)."""
    body, inputs, code = row
    fields = orjson.loads(body)
    fields.setdefault("inputs", orjson.loads(inputs))
    if code is not None:
        fields["code"] = code
    return Launch.model_validate(fields, context=bounds.STORED)


def result(body: str) -> PhaseResult:
    return PhaseResult.model_validate(orjson.loads(body))


def result_values(task_id: str, result: PhaseResult) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "phase": result.phase,
        "attempt": result.attempt,
        "kind": result.kind,
        "revision": result.revision,
        "status": result.status.value,
        "body": result.model_dump_json(),
    }


def log_line(row: Row) -> dict[str, Json]:
    """From (id, phase, attempt, line, stream, at, text)."""
    return dict(zip(("cursor", "phase", "attempt", "line", "stream", "at", "text"), row, strict=True))


def log_values(log: PhaseLog) -> list[dict[str, Any]]:
    """A row for each line, and one that says how many were dropped before them."""
    where = {"task_id": log.task_id, "phase": log.phase, "attempt": log.attempt}
    numbered = enumerate(log.lines, log.first_line)
    rows = [
        {**where, "line": number, "stream": line.stream, "at": format_time(line.at), "text": line.text}
        for number, line in numbered
    ]
    if log.dropped and rows:
        told = f"[{log.dropped} lines before this one were not kept]"
        rows.insert(0, {**rows[0], "line": log.first_line - 1, "stream": "log", "text": told})
    return rows
