"""The objects that a store's rows name, so that a collector knows what may go."""

from __future__ import annotations

import re

from phasenb.memory.statements import Cursor

_NAME = re.compile(r"sha256:([0-9a-f]{64})")
# Every column whose JSON may hold an object reference. Rows are streamed: a store may be larger than memory.
_COLUMNS = (
    ("events", "body"),
    ("results", "body"),
    ("launches", "inputs"),
    ("launches", "body"),
    ("checkpoints", "body"),
)


def references(cursor: Cursor) -> set[str]:
    """The sha256 (hex) of every object that is named."""
    found: set[str] = set()
    for table, column in _COLUMNS:
        cursor.execute(f"SELECT {column} FROM {table} WHERE {column} LIKE '%sha256:%'")  # noqa: S608 - constants
        while (row := cursor.fetchone()) is not None:
            found.update(_NAME.findall(row[0]))
    return found
