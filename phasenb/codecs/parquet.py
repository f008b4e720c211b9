"""DataFrames as Parquet, where that is exact; every other frame is pickled.

Exact means: assert_frame_equal finds no difference in values, dtypes, index, column labels and attrs. So: unique str
column labels, a RangeIndex or a plain one without a frequency, and dtypes that Arrow carries without loss. Not
categoricals (unused categories), MultiIndex (its levels), objects other than str and None, or dtypes in whole seconds.

A frame is written in row groups of about CHUNK_BYTES: no second copy of it is ever in memory.
What Parquet and pandas' own metadata do not keep (RangeIndex of a slice, object columns, attrs) is in the key
``phasenb`` of the file's metadata. pandas and pyarrow are imported inside functions: both are slow to import.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

from phasenb.codecs import json_values
from phasenb.codecs.base import Codec, comes_from

if TYPE_CHECKING:
    import pandas as pd

CHUNK_BYTES = 64 * 1024 * 1024
_META = b"phasenb"
_NUMPY_DTYPES = frozenset(
    ["bool", "float32", "float64"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    + [f"{kind}[{unit}]" for kind in ("datetime64", "timedelta64") for unit in ("ms", "us", "ns")]
)
_MASKED_DTYPES = frozenset(
    ["boolean", "Float32", "Float64"] + [f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)]
)


@cache
def _has_pyarrow() -> bool:
    return importlib.util.find_spec("pyarrow") is not None


def _accepts(value: Any) -> bool:
    if not comes_from(value, "pandas") or not _has_pyarrow():
        return False
    import pandas as pd

    return (
        type(value) is pd.DataFrame
        and value.flags.allows_duplicate_labels
        and _exact_labels(value)
        and _exact_index(value.index)
        and all(_exact_column(value.iloc[:, place]) for place in range(value.shape[1]))
        and (not value.attrs or json_values.dump(value.attrs) is not None)
    )


def _exact_labels(frame: pd.DataFrame) -> bool:
    """Labels are unique str, in the kind of Index that pandas makes of them, and can't be taken for the index."""
    import pandas as pd

    labels = frame.columns
    return (
        len(labels) > 0
        and type(labels) is pd.Index
        and labels.is_unique
        and all(type(label) is str for label in labels)
        and json_values.dump(list(labels)) is not None
        and labels.dtype == pd.Index(list(labels)).dtype
        and _plain_name(labels.name)
        and frame.index.name not in labels
        and not any(label.startswith("__index_level_") for label in labels)
    )


def _plain_name(name: Any) -> bool:
    return name is None or (type(name) is str and name != "" and json_values.dump(name) is not None)


def _exact_index(index: pd.Index[Any]) -> bool:
    import pandas as pd

    if not _plain_name(index.name) or str(index.name).startswith("__index_level_"):
        return False
    if type(index) is pd.RangeIndex:
        return True
    if type(index) is pd.DatetimeIndex:
        return index.freq is None and _exact_dtype(index.dtype)
    return type(index) is pd.Index and index.dtype.kind in "iuf" and _exact_dtype(index.dtype)


def _exact_column(column: pd.Series[Any]) -> bool:
    if _holds_objects(column.dtype):
        return set(map(type, column.array)) <= {str, type(None)}
    return _exact_dtype(column.dtype)


def _holds_objects(dtype: Any) -> bool:
    return str(dtype) == "object"


def _exact_dtype(dtype: Any) -> bool:
    import pandas as pd

    name = str(dtype)
    if isinstance(dtype, pd.StringDtype):
        return dtype.storage == "pyarrow" and name in ("str", "string")
    if isinstance(dtype, pd.DatetimeTZDtype):
        return dtype.unit != "s" and _known_zone(dtype)
    if isinstance(dtype, pd.api.extensions.ExtensionDtype):
        return name in _MASKED_DTYPES
    return name in _NUMPY_DTYPES and bool(dtype.isnative)


def _known_zone(dtype: pd.DatetimeTZDtype) -> bool:
    """Whether the zone's name alone gives the same zone object again."""
    import pandas as pd

    try:
        named = pd.DatetimeTZDtype(dtype.unit, str(dtype.tz))
    except (TypeError, ValueError, KeyError, LookupError):
        return False
    return type(named.tz) is type(dtype.tz) and named == dtype


def _write(frame: pd.DataFrame, file: BinaryIO) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(frame)
    with pq.ParquetWriter(file, schema) as writer:
        for chunk in _chunks(frame):
            table = pa.Table.from_pandas(chunk, schema=schema, preserve_index=_keeps_index(frame), safe=True)
            writer.write_table(table.replace_schema_metadata(schema.metadata))


def _keeps_index(frame: pd.DataFrame) -> bool:
    import pandas as pd

    return type(frame.index) is not pd.RangeIndex


def _schema(frame: pd.DataFrame) -> Any:
    import pandas as pd
    import pyarrow as pa

    schema = pa.Schema.from_pandas(frame.iloc[:0], preserve_index=_keeps_index(frame))
    objects = [name for name, dtype in frame.dtypes.items() if _holds_objects(dtype)]
    for name in objects:
        schema = schema.set(schema.get_field_index(name), pa.field(name, pa.large_string()))
    zones = {name: str(dtype.tz) for name, dtype in frame.dtypes.items() if isinstance(dtype, pd.DatetimeTZDtype)}
    extra: dict[str, Any] = {
        "objects": objects,
        "zones": zones,
        "attrs": frame.attrs,
        "columns_name": frame.columns.name,
    }
    if isinstance(frame.index, pd.RangeIndex):
        index = frame.index
        extra["range"] = [index.start, index.stop, index.step, index.name]
    elif isinstance(frame.index.dtype, pd.DatetimeTZDtype):
        extra["index_zone"] = str(frame.index.dtype.tz)
    return schema.with_metadata({**(schema.metadata or {}), _META: orjson.dumps(extra)})


def _chunks(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Row slices of about CHUNK_BYTES, which share the frame's memory; one empty slice of an empty frame."""
    width = sum(64 if _holds_objects(dtype) else getattr(dtype, "itemsize", 8) for dtype in frame.dtypes)
    rows = max(1, CHUNK_BYTES // max(1, width))
    for start in range(0, max(1, len(frame)), rows):
        yield frame.iloc[start : start + rows]


def _read(file: BinaryIO) -> pd.DataFrame:
    import pandas as pd
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    extra = orjson.loads(table.schema.metadata[_META])
    frame: pd.DataFrame = table.to_pandas()
    for name in extra["objects"]:
        frame[name] = pd.Series(table[name].to_pylist(), index=frame.index, dtype=object)
    if "range" in extra:
        start, stop, step, name = extra["range"]
        frame.index = pd.RangeIndex(start, stop, step, name=name)
    elif "index_zone" in extra:
        frame.index = _in_zone(frame.index, extra["index_zone"])
    for name, zone in extra["zones"].items():
        frame[name] = _in_zone(pd.DatetimeIndex(frame[name]), zone)
    frame.columns.name = extra["columns_name"]
    frame.attrs = extra["attrs"]
    return frame


def _in_zone(index: pd.Index[Any], zone: str) -> pd.Index[Any]:
    """In the zone object that pandas makes of the name: Arrow may give one of another class."""
    import pandas as pd

    times = pd.DatetimeIndex(index)
    return times.tz_convert(pd.DatetimeTZDtype(times.unit, zone).tz)


PARQUET = Codec("parquet", _accepts, _write, _read)
