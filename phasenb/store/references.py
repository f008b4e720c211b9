"""What a collector must know of a store's rows: the objects that they name, and those that they will name soon."""

from __future__ import annotations

import re
from datetime import datetime

import orjson

from phasenb.store import statements as sql
from phasenb.store.statements import Cursor

_NAME = re.compile(r"sha256:([0-9a-f]{64})")
_REFERENCE = re.compile(r'"\$object":\s*"sha256:([0-9a-f]{64})"')
_VARIABLES = "json_extract(body, '$.runtime.variables')"
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


def references_of_owners(cursor: Cursor) -> dict[tuple[str, str], bool]:
    """(owner, sha256) of every object that is named, and whether it is a reference for sure: else the text of an input,
    such as the digest of an image, may only look like one.
    """
    found: dict[tuple[str, str], bool] = {}
    for table, column in _COLUMNS:
        cursor.execute(
            f"SELECT owner_of.owner, named.{column} FROM {table} AS named "  # noqa: S608 - constants
            f"JOIN tasks AS owner_of ON owner_of.task_id = named.task_id WHERE named.{column} LIKE '%sha256:%'"
        )
        while (row := cursor.fetchone()) is not None:
            sure = set(_REFERENCE.findall(row[1]))
            for name in _NAME.findall(row[1]):
                found[row[0], name] = found.get((row[0], name), False) or name in sure
    cursor.execute(f"SELECT owner, {_VARIABLES} FROM launches WHERE {_VARIABLES} IS NOT NULL")  # noqa: S608 - constants
    while (row := cursor.fetchone()) is not None:
        found[row[0], row[1].removeprefix("sha256:")] = True
    return found


def oldest_attempt(cursor: Cursor) -> float | None:
    """When the attempt began (seconds since the epoch) that runs longest of all that run."""
    snapshots = (orjson.loads(snapshot) for (snapshot,) in sql.LIVE_SNAPSHOTS.all(cursor))
    phases = (phase for snapshot in snapshots for phase in snapshot["phases"] if phase["status"] == "running")
    return min((datetime.fromisoformat(phase["started_at"]).timestamp() for phase in phases), default=None)
