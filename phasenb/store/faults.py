"""What SQLite's errors mean for a person: StoreUnavailable with a plain sentence."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from phasenb.errors import StoreUnavailable

BUSY_S = 10.0

_KEPT = "it was left as it is"
_SENTENCES = {
    sqlite3.SQLITE_NOTADB: f"the file is not an SQLite database; {_KEPT}",
    sqlite3.SQLITE_CORRUPT: f"the file is damaged; {_KEPT}: move it away, or put a backup in its place",
    sqlite3.SQLITE_READONLY: "the file, or its folder, can't be written",
    sqlite3.SQLITE_PERM: "access to the file is denied",
    sqlite3.SQLITE_CANTOPEN: "the file can't be opened: its folder must exist and be writable",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_BUSY: f"another process has been writing to it for more than {BUSY_S:g} s",
    sqlite3.SQLITE_LOCKED: "another connection of this process holds it",
}


_LEAST_ROOM = 1 << 16  # bytes: what a store needs at once when it is made, for its -shm


def unavailable(store: str, error: sqlite3.Error) -> StoreUnavailable:
    """The error as a sentence; SQLite's own words stand behind it. ``store``: its path, where it has one."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF == sqlite3.SQLITE_IOERR and _full(store):
        code = sqlite3.SQLITE_FULL  # where the shared memory of the WAL finds no room SQLite says I/O error
    sentence = _SENTENCES.get(code & 0xFF) if code is not None else None
    problem = f"{sentence} (SQLite: {error})" if sentence else f"SQLite says: {error}"
    return StoreUnavailable(store, problem)


def _full(store: str) -> bool:
    try:
        return shutil.disk_usage(Path(store).parent).free < _LEAST_ROOM
    except OSError:
        return False
