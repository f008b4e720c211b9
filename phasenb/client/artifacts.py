"""The frame of a task's artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phasenb.client.outcome import Results

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "phase": "string", "attempt": "int64", "name": "string", "type": "string", "codec": "string", "bytes": "int64",
    "shape": "object", "preview": "string",
}  # fmt: skip


def artifacts_frame(results: Results) -> pd.DataFrame:
    """A row per artifact, in the order they were kept; these columns and dtypes for no rows too."""
    import pandas as pd  # imported late, as everywhere in the client: `import phasenb` must stay quick

    rows = [
        (result.phase, result.attempt, kept.name, kept.type, kept.codec, kept.bytes, kept.shape, kept.preview)
        for result in results
        for kept in result.artifacts
    ]
    return pd.DataFrame(
        {
            name: pd.Series([row[place] for row in rows], dtype=dtype)
            for place, (name, dtype) in enumerate(COLUMNS.items())
        }
    )
