"""The results frame from an Arrow table (codecs.result_tables): equal to memory.frames.results_frame of the same rows.

Columns go over whole; only outputs, and what ``last`` and ``flatten`` look at, become Python objects one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from phasenb.store.frames import (
    COUNT_OR_NA,
    KEY,
    NONE_ASIDE,
    RESULT_COLUMNS,
    TEXT,
    VALUE,
    flattened,
    newest,
    readable,
    shown,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from phasenb.store.frames import Aside
    from phasenb.store.lazy import Load


def results_frame_of(
    table: pa.Table,
    *,
    last: bool = False,
    flatten: bool = False,
    load: Load | None = None,
    aside: Aside = NONE_ASIDE,
) -> pd.DataFrame:
    """See memory.frames.results_frame."""
    import pandas as pd
    import pyarrow as pa

    if last:
        keys = [table.column(name).to_pylist() for name in KEY]
        table = table.take(pa.array(newest(zip(*keys, strict=True), aside), pa.int64()))
    outputs = [orjson.loads(text) for text in table.column("output").to_pylist()]
    made = {
        name: pd.Series([shown(value, load) for value in outputs], dtype="object")
        if kind == VALUE
        else _column(table.column(name).combine_chunks(), kind)
        for name, kind in RESULT_COLUMNS.items()
    }
    frame = pd.concat([pd.DataFrame(made), _metrics(table)], axis=1)
    return flattened(frame, outputs) if flatten else frame


def _column(values: Any, kind: str) -> pd.Series[Any]:
    import pandas as pd

    masked = {TEXT: pd.StringDtype(), COUNT_OR_NA: pd.Int64Dtype()}.get(kind)
    column: pd.Series[Any] = values.to_pandas(types_mapper=lambda _: masked)
    return readable(column, kind)


def _metrics(table: pa.Table) -> pd.DataFrame:
    """A column ``metric.*`` for each name, in the order in which they are first met."""
    import numpy as np
    import pandas as pd

    maps = table.column("metrics").combine_chunks()
    rows = np.repeat(np.arange(len(maps)), np.diff(maps.offsets.to_numpy()))
    first, last = maps.offsets[0].as_py() if len(maps) else 0, maps.offsets[-1].as_py() if len(maps) else 0
    names = maps.keys.slice(first, last - first).dictionary_encode()
    values = maps.items.slice(first, last - first).to_numpy(zero_copy_only=False)
    codes = names.indices.to_numpy()
    made = {}
    for code, name in enumerate(names.dictionary.to_pylist()):
        column = np.full(len(maps), np.nan)
        column[rows[codes == code]] = values[codes == code]
        made[f"metric.{name}"] = column
    return pd.DataFrame(made, index=pd.RangeIndex(len(maps)))
