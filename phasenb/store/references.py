"""What a collector must know of a store's rows: the objects that they name, and those that they will name soon."""

from __future__ import annotations

import re
from datetime import datetime

import orjson

from phasenb.store import statements as sql
from phasenb.store.statements import Cursor

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


def references_of_owners(cursor: Cursor) -> dict[str, set[str]]:
    """As ``references``, by the owner in whose folder each is."""
    found: dict[str, set[str]] = {}
    for table, column in _COLUMNS:
        cursor.execute(
            f"SELECT owner_of.owner, named.{column} FROM {table} AS named "  # noqa: S608 - constants
            f"JOIN tasks AS owner_of ON owner_of.task_id = named.task_id WHERE named.{column} LIKE '%sha256:%'"
        )
        while (row := cursor.fetchone()) is not None:
            found.setdefault(row[0], set()).update(_NAME.findall(row[1]))
    return found


def oldest_attempt(cursor: Cursor) -> float | None:
    """When the attempt began (seconds since the epoch) that runs longest of all that run."""
    snapshots = (orjson.loads(snapshot) for (snapshot,) in sql.LIVE_SNAPSHOTS.all(cursor))
    phases = (phase for snapshot in snapshots for phase in snapshot["phases"] if phase["status"] == "running")
    return min((datetime.fromisoformat(phase["started_at"]).timestamp() for phase in phases), default=None)
