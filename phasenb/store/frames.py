"""DataFrames of tasks, results, events and log lines: pure functions over what the store or the HTTP API gives.

Rules: the columns are there for no rows too, in this order, with these dtypes (pandas names):

========  ==============================================================================================================
text      ``string`` (missing is ``<NA>``)
times     ``datetime64[us, UTC]`` (missing is ``NaT``), of whole milliseconds: an event's ``body`` has the microseconds
seconds   ``float64`` (missing is ``NaN``): duration_s, to the millisecond
numbers   ``float64`` (missing is ``NaN``): percent, 0..100
counts    ``int64``; ``Int64`` where one may be missing (events.attempt, results.output_bytes)
values    ``object``: results.output, events.body; a big value is a LazyValue
added     ``input.*``, ``output.*``: what pandas infers of the values; ``label.*``: string; ``metric.*``: float64
========  ==============================================================================================================

Added columns come last, in the order they are first met. pandas is imported in functions: the client's own import must
stay quick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson

from phasenb.dto.base import Frozen
from phasenb.dto.phase_result import PhaseResult
from phasenb.dto.task_state import TaskState
from phasenb.dto.values import Json, is_reference
from phasenb.store.lazy import LazyValue, Load, shown

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LazyValue", "events_frame", "flattened", "logs_frame", "newest", "results_frame", "shown", "tasks_frame"]

Record = Mapping[str, Any]
Aside = Mapping[tuple[str, str], int]
NONE_ASIDE: Aside = MappingProxyType({})
TEXT, TIME, SECONDS, NUMBER = "string", "time", "seconds", "float64"
COUNT, COUNT_OR_NA, VALUE = "int64", "Int64", "object"

TASK_COLUMNS = {
    "task_id": TEXT, "name": TEXT, "agent": TEXT, "session": TEXT, "state": TEXT, "phase": TEXT,
    "percent": NUMBER, "attempts": COUNT, "created_at": TIME, "started_at": TIME, "ended_at": TIME,
    "duration_s": SECONDS, "error_type": TEXT, "error_message": TEXT,
    "parent": TEXT,
}  # fmt: skip
RESULT_COLUMNS = {
    "task_id": TEXT, "phase": TEXT, "attempt": COUNT, "kind": TEXT, "revision": COUNT, "status": TEXT,
    "started_at": TIME, "ended_at": TIME, "duration_s": SECONDS, "output": VALUE, "output_type": TEXT,
    "output_bytes": COUNT_OR_NA, "error_type": TEXT, "error_message": TEXT, "worker": TEXT, "code": TEXT,
}  # fmt: skip
EVENT_COLUMNS = {
    "task_id": TEXT, "seq": COUNT, "type": TEXT, "at": TIME, "phase": TEXT, "attempt": COUNT_OR_NA,
    "body": VALUE,
}  # fmt: skip
LOG_COLUMNS = {
    "task_id": TEXT, "phase": TEXT, "attempt": COUNT, "line": COUNT, "stream": TEXT, "at": TIME, "text": TEXT,
}  # fmt: skip


KEY = ("kind", "task_id", "phase", "attempt", "revision")


def tasks_frame(tasks: Iterable[TaskState | Record], load: Load | None = None) -> pd.DataFrame:
    """A row per task, in the given order, indexed by ``task_id``. ``duration_s`` is of tasks that ended.

    ``load`` decodes a reference: big inputs are LazyValues with it, and ObjectRefs without.
    """
    records, added = [], _Added()
    for number, task in enumerate(tasks):
        record = _record(task)
        error = (record.get("error") or {}).get("error") or {}
        attempts = sum(phase["attempt"] for phase in record["phases"])
        records.append({**record, **_error(error), "attempts": attempts})
        for name, value in record["inputs"].items():
            added.put(f"input.{name}", number, shown(value, load), None)
        for name, value in record["labels"].items():
            added.put(f"label.{name}", number, value, TEXT)
    frame = _frame(records, TASK_COLUMNS)
    frame["duration_s"] = (frame["ended_at"] - frame["started_at"]).dt.total_seconds().clip(lower=0)
    return added.beside(frame).set_index("task_id")


def results_frame(
    results: Iterable[tuple[str, PhaseResult] | Record],
    *,
    last: bool = False,
    flatten: bool = False,
    load: Load | None = None,
    aside: Aside = NONE_ASIDE,
) -> pd.DataFrame:
    """A row per attempt that ended, in the given order (oldest first from the store).

    ``results``: (task_id, PhaseResult), or the HTTP API's objects: a PhaseResult's fields and ``task_id``. ``last``:
    only the attempts that count, the newest of each phase of a task; neither compensations nor those that were
    ``set_aside``. ``flatten``: a column ``output.*`` for each key of outputs that are inline dicts, nested keys joined
    by dots.
    """
    records = [_result_record(result) for result in results]
    if last:
        records = that_count(records, aside)
    added = _Added()
    for number, record in enumerate(records):
        for name, value in record.get("metrics", {}).items():
            added.put(f"metric.{name}", number, value, NUMBER)
    rows = [
        {**record, **_error(record.get("error") or {}), "output": shown(record.get("output"), load)}
        for record in records
    ]
    frame = added.beside(_frame(rows, RESULT_COLUMNS))
    return flattened(frame, [record.get("output") for record in records]) if flatten else frame


def flattened(frame: pd.DataFrame, outputs: Iterable[Json]) -> pd.DataFrame:
    """The frame with columns ``output.*`` for the keys of outputs that are inline dicts, one output for each row."""
    added = _Added()
    for number, output in enumerate(outputs):
        for name, value in _leaves("output", output):
            added.put(name, number, value, None)
    return added.beside(frame)


def set_aside(tasks: Iterable[TaskState]) -> Aside:
    """{(task_id, phase): number of the last attempt that counts no longer}, of the phases that have one."""
    return {(task.task_id, phase.name): phase.set_aside for task in tasks for phase in task.phases if phase.set_aside}


def newest(keys: Iterable[tuple[Any, ...]], aside: Aside = NONE_ASIDE) -> list[int]:
    """Which rows count, of all rows' (kind, task_id, phase, attempt, revision): a phase's newest attempt each, unless
    it was set aside.
    """
    best: dict[tuple[str, str], tuple[tuple[int, int], int]] = {}
    for place, (kind, task_id, phase, attempt, revision) in enumerate(keys):
        if kind != "phase" or attempt <= aside.get((task_id, phase), 0):
            continue
        rank = (attempt, revision)
        known = best.get((task_id, phase))
        if known is None or rank >= known[0]:
            best[task_id, phase] = (rank, place)
    return sorted(place for _, place in best.values())


def events_frame(events: Iterable[str | bytes | Frozen | Record]) -> pd.DataFrame:
    """A row per event: ``body`` is the whole event as a dict. Takes wire texts, events, or their JSON objects."""
    records = []
    for event in events:
        body = orjson.loads(event) if isinstance(event, str | bytes) else _record(event)
        records.append({**body, "body": body})
    return _frame(records, EVENT_COLUMNS)


def logs_frame(task_id: str, lines: Iterable[Record]) -> pd.DataFrame:
    """A row per stored line of one task, as ``Store.logs`` and the HTTP API give them."""
    return _frame([{**line, "task_id": task_id} for line in lines], LOG_COLUMNS)


# --- records ---------------------------------------------------------------------------------------------------------


def _record(value: Frozen | Record) -> Record:
    # Python mode keeps datetimes, which pandas takes as they are; the inputs and outputs in it are JSON already.
    return value.model_dump() if isinstance(value, Frozen) else value


def _result_record(result: tuple[str, PhaseResult] | Record) -> Record:
    if isinstance(result, tuple):
        task_id, values = result
        return {**_record(values), "task_id": task_id}
    return result


def _error(error: Record) -> Record:
    return {"error_type": error.get("type"), "error_message": error.get("message")}


def that_count(records: Sequence[Record], aside: Aside) -> list[Record]:
    """The results that count, of the HTTP API's objects: the newest attempt of each phase of a task."""
    keys = (tuple(record[name] for name in KEY) for record in records)
    return [records[place] for place in newest(keys, aside)]


def _leaves(prefix: str, value: Json) -> Iterable[tuple[str, Json]]:
    """(column, value) of a nested dict's leaves; nothing of other values, an empty dict is a leaf."""
    if not isinstance(value, dict) or is_reference(value):
        return
    for key, item in value.items():
        name = f"{prefix}.{key}"
        if isinstance(item, dict) and item:
            yield from _leaves(name, item)
        else:
            yield name, item


# --- columns ---------------------------------------------------------------------------------------------------------


def _frame(records: Sequence[Record], columns: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {name: _column([record.get(name) for record in records], kind) for name, kind in columns.items()},
        columns=list(columns),
    )


def _column(values: list[Any], kind: str) -> pd.Series[Any]:
    import pandas as pd

    if kind == TIME:
        return readable(pd.to_datetime(pd.Series(values, dtype="object"), utc=True, format="ISO8601"), kind)
    if kind == TEXT:
        values = [None if value is None else str(value) for value in values]
    return readable(pd.Series(values, dtype="float64" if kind == SECONDS else kind), kind)


def readable(column: pd.Series[Any], kind: str) -> pd.Series[Any]:
    """A column as people read it: times and seconds to the millisecond. A time is never later than it was, so that
    ``since=`` a time of a frame finds its row again.
    """
    if kind == TIME:
        return column.astype("datetime64[us, UTC]").dt.floor("ms")
    return column.round(3) if kind == SECONDS else column


class _Added:
    """Columns that depend on the data: cells by row number, the rest is missing."""

    def __init__(self) -> None:
        self._cells: dict[str, dict[int, Any]] = {}
        self._kinds: dict[str, str | None] = {}

    def put(self, column: str, row: int, value: Any, kind: str | None) -> None:
        self._cells.setdefault(column, {})[row] = value
        self._kinds[column] = kind

    def beside(self, frame: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        made = {}
        for column, cells in self._cells.items():
            values = [cells.get(row) for row in range(len(frame))]
            kind = self._kinds[column]
            made[column] = pd.Series(values, dtype="object").infer_objects() if kind is None else _column(values, kind)
        return pd.concat([frame, pd.DataFrame(made, index=frame.index)], axis=1) if made else frame
