"""Results as an Arrow IPC stream: a row per attempt that ended, the columns of the results frame (memory.frames).

Rules: times are ``timestamp[us, UTC]``; an output is its JSON text; ``metrics`` is a map of all numbers, because their
names are not known before the last row. pyarrow is imported when it is used: it is an extra.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import accumulate
from typing import IO, TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import pyarrow as pa

Bodies = list[dict[str, Any]]


@cache
def arrow_installed() -> bool:
    return find_spec("pyarrow") is not None


@cache
def _schema() -> pa.Schema:
    import pyarrow as pa

    text, count, seconds, time = pa.string(), pa.int64(), pa.float64(), pa.timestamp("us", tz="UTC")
    kinds = {
        "task_id": text, "phase": text, "attempt": count, "kind": text, "revision": count, "status": text,
        "started_at": time, "ended_at": time, "duration_s": seconds, "output": text, "output_type": text,
        "output_bytes": count, "error_type": text, "error_message": text, "worker": text,
        "code": text, "metrics": pa.map_(text, seconds),
    }  # fmt: skip
    return pa.schema(list(kinds.items()))


# What is not simply a field of a stored PhaseResult, and what an older release's may lack.
_VALUES: dict[str, Callable[[Bodies], list[Any]]] = {
    "kind": lambda bodies: [body.get("kind", "phase") for body in bodies],
    "revision": lambda bodies: [body.get("revision", 1) for body in bodies],
    "output": lambda bodies: [orjson.dumps(body.get("output")) for body in bodies],
    "error_type": lambda bodies: [(body.get("error") or {}).get("type") for body in bodies],
    "error_message": lambda bodies: [(body.get("error") or {}).get("message") for body in bodies],
}


class ArrowResults:
    """Writes the stream into a file, a record batch for each page."""

    def __init__(self, file: IO[bytes]) -> None:
        import pyarrow as pa

        self._writer = pa.ipc.new_stream(file, _schema())

    def add(self, page: Sequence[tuple[str, str]]) -> None:
        """Encode rows: (task_id, a PhaseResult's stored JSON)."""
        import pyarrow as pa

        bodies = [orjson.loads(body) for _, body in page]
        arrays = [pa.array([task_id for task_id, _ in page], pa.string())]
        arrays += [_array(field, bodies) for field in list(_schema())[1:]]
        self._writer.write_batch(pa.record_batch(arrays, _schema()))

    def finish(self) -> None:
        self._writer.close()


def _array(field: pa.Field, bodies: Bodies) -> pa.Array:
    import pyarrow as pa

    name, kind = field.name, field.type
    if name == "metrics":
        metrics = [body.get(name) or {} for body in bodies]
        offsets = list(accumulate(map(len, metrics), initial=0))
        names = [metric for each in metrics for metric in each]
        values = [value for each in metrics for value in each.values()]
        return pa.MapArray.from_arrays(
            pa.array(offsets, pa.int32()), pa.array(names, kind.key_type), pa.array(values, kind.item_type)
        )
    values = _VALUES[name](bodies) if name in _VALUES else [body.get(name) for body in bodies]
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.string()).cast(kind)  # Arrow reads RFC 3339 itself, in C++
    return pa.array(values, kind)


def read_results(file: IO[bytes]) -> pa.Table:
    """The table of a stream, read as it comes."""
    import pyarrow as pa

    with pa.ipc.open_stream(file) as reader:
        return reader.read_all()
