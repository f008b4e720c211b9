"""Database: an open SQLite file, or a store in memory, with one writer and many readers.

Rules: the file is only ever added to, never deleted or replaced (where somebody else does, every use is refused: what
is written to a file without a name is lost); one that is made here is its user's alone (0600), as it holds inputs,
outputs and logs; readers have connections of their own and are never in the writer's way (WAL); a store in memory has
one connection, so its readers go through the writer; a reader sees all that was handed to the writer
before, log lines too.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import QueuePool

from phasenb.errors import StoreUnavailable
from phasenb.store import statements as sql
from phasenb.store.faults import BUSY_S, unavailable
from phasenb.store.heartbeat import Heartbeats
from phasenb.store.location import Location, check
from phasenb.store.migrations import MIGRATIONS, migrate, version_of
from phasenb.store.statements import Cursor
from phasenb.store.writer import Guard, Writer, nothing, nothing_against

T = TypeVar("T")
_WAL_RETRY_S = 0.02


class Database:
    """``open`` it first; ``read`` from any thread; ``writer`` runs what changes it."""

    def __init__(self, location: Location, writer: Writer, readers: Engine | None, epoch: str, guard: Guard) -> None:
        self.location = location
        self.writer = writer
        self.epoch = epoch
        self._readers = readers
        self._guard = guard
        self._closed = False
        self._version: int | None = None

    @classmethod
    def open(cls, location: Location, *, reading: bool = False) -> Database:
        """Open or make the store, and bring it to this release's version; ``reading``: change nothing, and refuse a
        file of another version. Raises StoreUnavailable.
        """
        check(location)
        reading = reading and location.path is not None
        if not reading:
            _make_private(location)
        try:
            connection = _connect_to_read(location) if reading else _connect(location)
        except sqlite3.Error as error:
            raise unavailable(location.shown, error) from error
        try:
            # Closed at once: a connection lives on, and holds its files as they were, while an error's frames hold a
            # cursor that has not ended; the next try in this process would share its -shm.
            with closing(connection.cursor()) as cursor:
                epoch = _look(cursor, location) if reading else _prepare(cursor, location)
        except sqlite3.Error as error:
            connection.close()
            raise unavailable(location.shown, error) from error
        except BaseException:
            connection.close()
            raise
        guard = _guard(location)
        return cls(location, Writer(connection, location.shown, guard), _reader_pool(location), epoch, guard)

    def read(self, job: Callable[[Cursor], T]) -> T:
        """Run a reading job in the calling thread. Raises StoreUnavailable, and what the job raises."""
        if self._readers is None:
            return self.writer.call(job)
        if self.writer.posted:
            self.writer.call(nothing)
        return self._read(job)

    def _read(self, job: Callable[[Cursor], T]) -> T:
        assert self._readers is not None
        if self._closed:
            raise StoreUnavailable(self.location.shown, "it is closed")
        self._guard()
        try:
            with closing(self._readers.raw_connection()) as connection:
                return job(connection.cursor())
        except sqlite3.Error as error:
            raise unavailable(self.location.shown, error) from error

    async def aread(self, job: Callable[[Cursor], T]) -> T:
        """As ``read``, without blocking the loop."""
        if self._readers is None:
            return await self.writer.run(job)
        if self.writer.posted:
            await self.writer.run(nothing)
        return await asyncio.to_thread(self._read, job)

    def quiet_until(self, cursor: Cursor) -> int | None:
        """A job for the writer: the newest event's number, or None where another connection may have committed since
        this was last asked.
        """
        # sqlite.org/pragma.html: it changes with every commit of another connection, and with none of this one's.
        cursor.execute("PRAGMA data_version")
        (version,) = cursor.fetchone()
        seen, self._version = self._version, version
        if version != seen:
            return None
        (newest,) = sql.NEWEST_CHANGE.one(cursor)
        return newest or 0

    def heartbeats(self, busy_s: float) -> Heartbeats | None:
        """A way of its own to the store's hosts, which waits for a lock at most ``busy_s``; None for one in memory."""
        if self.location.path is None:
            return None
        return Heartbeats(lambda: _connection(self.location, "rw", busy_s), self.location.shown, self._guard)

    def close(self) -> None:
        """Commit what waits, then close all connections. Idempotent; blocks."""
        self._closed = True  # a pool that was disposed of would connect anew
        self.writer.close()
        if self._readers is not None:
            self._readers.dispose()


def _guard(location: Location) -> Guard:
    """Raises StoreUnavailable once the path is no longer the file that it is now."""
    if location.path is None:
        return nothing_against
    path = str(location.path)
    opened = os.stat(path)  # noqa: PTH116 - asked at each commit: a Path costs more than the stat

    def guard() -> None:
        try:
            found = os.stat(path)  # noqa: PTH116
        except OSError:
            same = False
        else:
            same = (found.st_ino, found.st_dev) == (opened.st_ino, opened.st_dev)
        if not same:
            raise StoreUnavailable(
                location.shown,
                "its file was removed or replaced while it was in use: put it back, or restart this host (the Jupyter "
                "server; without one, the kernel or script) to go on with what is there now",
            )

    return guard


def _make_private(location: Location) -> None:
    """Make the file where there is none, before SQLite would with the umask; its -wal and -shm get the file's mode."""
    if location.path is None:
        return
    try:
        os.close(os.open(location.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        pass  # whoever made it chose its mode
    except OSError:
        pass  # SQLite is about to fail at the same, and its errors have their sentences


def _connect(location: Location) -> sqlite3.Connection:
    return _connection(location, "rwc")


def _connect_to_read(location: Location) -> sqlite3.Connection:
    return _connection(location, "ro")


def _connection(location: Location, mode: str, busy_s: float = BUSY_S) -> sqlite3.Connection:
    # Transactions are ours to begin (isolation_level None); threads are told apart by Writer and by the pool.
    return sqlite3.connect(
        f"{location.path.as_uri()}?mode={mode}" if location.path else ":memory:",
        uri=True,
        timeout=busy_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )


def _look(cursor: Cursor, location: Location) -> str:
    """The epoch of a store that is as this release writes it. Raises StoreUnavailable."""
    known = MIGRATIONS[-1].number
    found = version_of(cursor, location.shown, known)
    if found < known:
        problem = (
            f"it has version {found}, this release of phasenb reads version {known}, and looking changes nothing: the "
            "next host of this release brings it there (a Jupyter server with phasenb, `phasenb serve`)"
        )
        raise StoreUnavailable(location.shown, problem)
    return _epoch(cursor, location.shown)


def _prepare(cursor: sqlite3.Cursor, location: Location) -> str:
    """Look before touching, then WAL, then migrations. The epoch."""
    version_of(cursor, location.shown, MIGRATIONS[-1].number)
    if location.path is not None:
        _use_wal(cursor, location.shown)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    migrate(cursor, location.shown)
    # A store that can be read but not written is found out now, not at the first launch.
    cursor.execute("BEGIN IMMEDIATE")
    sql.INSERT_META.run(cursor, name="written", value="never")
    cursor.execute("ROLLBACK")
    return _epoch(cursor, location.shown)


def _epoch(cursor: Cursor, store: str) -> str:
    row = sql.EPOCH.one(cursor)
    if row is None:
        raise StoreUnavailable(store, "it has no epoch: the file is not a whole phasenb store")
    return str(row[0])


def _use_wal(cursor: Cursor, store: str) -> None:
    """Switch to WAL. SQLite does not wait for its lock here as it does elsewhere, when two hosts start at once.

    Raises StoreUnavailable where the file system can't share memory between processes: SQLite stays as it was then.
    """
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            mode = cursor.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_WAL_RETRY_S)
        else:
            break
    if mode != "wal":
        raise StoreUnavailable(store, "its file system has no shared memory: set store.url to a path on a local disk")


def _reader_pool(location: Location) -> Engine | None:
    if location.path is None:
        return None

    return create_engine(
        "sqlite://", creator=lambda: _connect_to_read(location), poolclass=QueuePool, pool_size=4, max_overflow=-1
    )
