"""Database: an open SQLite file, or a store in memory, with one writer and many readers.

Rules: the file is only ever added to, never deleted or replaced (where somebody else does, every use is refused: what
is written to a file without a name is lost); one that is made here is its user's alone (0600), as it holds inputs,
outputs and logs; readers have connections of their own and are never in the writer's way (WAL); a store in memory has
one connection, so its readers go through the writer; a reader sees all that was handed to the writer
before, log lines too; the last connection of all processes that closes leaves one file (SQLite checkpoints then, where
the connection may write), but what was taken away under a host is not written over.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from sqlalchemy import create_engine
from sqlalchemy.pool import QueuePool

from phasenb.errors import StoreUnavailable
from phasenb.store import statements as sql
from phasenb.store.faults import BUSY_S, unavailable
from phasenb.store.guard import FileGuard
from phasenb.store.heartbeat import Heartbeats
from phasenb.store.location import Location, check, check_links, check_owner, same_place
from phasenb.store.migrations import MIGRATIONS, migrate, version_of
from phasenb.store.statements import Cursor
from phasenb.store.writer import Writer, nothing, nothing_against

T = TypeVar("T")
log = logging.getLogger(__name__)
_WAL_RETRY_S = 0.02
_READS_END_S = 10.0


class Database:
    """``open`` it first; ``read`` from any thread; ``writer`` runs what changes it."""

    def __init__(self, location: Location, writer: Writer, epoch: str, files: _Files | None) -> None:
        self.location = location
        self.writer = writer
        self.epoch = epoch
        self._files = files
        self._closed = False
        self._version: int | None = None
        self._reads = 0
        self._turn = threading.Condition()

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
            connection = _connection(location, "ro" if reading else "rwc")
        except sqlite3.Error as error:
            raise unavailable(location.shown, error) from error
        try:
            # Closed at once: a connection lives on, and holds its files as they were, while an error's frames hold a
            # cursor that has not ended; the next try in this process would share its -shm.
            with closing(connection.cursor()) as cursor:
                _check_not_led_away(cursor, location)
                epoch = _look(cursor, location) if reading else _prepare(cursor, location)
            files = None if location.path is None else _Files(location, reading=reading)
        except sqlite3.Error as error:
            connection.close()
            raise unavailable(location.shown, error) from error
        except BaseException:
            connection.close()
            raise
        return cls(
            location, Writer(connection, location.shown, files.guard if files else nothing_against), epoch, files
        )

    def read(self, job: Callable[[Cursor], T]) -> T:
        """Run a reading job in the calling thread. Raises StoreUnavailable, and what the job raises."""
        if self._files is None:
            return self.writer.call(job)
        if self.writer.posted:
            self.writer.call(nothing)
        return self._read(self._files, job)

    def _read(self, files: _Files, job: Callable[[Cursor], T]) -> T:
        with self._turn:
            if self._closed:
                raise StoreUnavailable(self.location.shown, "it is closed")
            self._reads += 1
        try:
            files.guard()
            with closing(files.readers.raw_connection()) as connection:
                return job(connection.cursor())
        except sqlite3.Error as error:
            raise unavailable(self.location.shown, error) from error
        finally:
            with self._turn:
                self._reads -= 1
                self._turn.notify_all()

    async def aread(self, job: Callable[[Cursor], T]) -> T:
        """As ``read``, without blocking the loop."""
        if self._files is None:
            return await self.writer.run(job)
        if self.writer.posted:
            await self.writer.run(nothing)
        return await asyncio.to_thread(self._read, self._files, job)

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
        if self._files is None:
            return None
        return Heartbeats(lambda: _connection(self.location, "rw", busy_s), self.location.shown, self._files.guard)

    def close(self) -> None:
        """Commit what waits and let reads end, then close all connections. Idempotent; blocks."""
        with self._turn:
            self._closed = True  # a pool that was disposed of would connect anew
            self._turn.wait_for(lambda: not self._reads, _READS_END_S)
        if self._files is None:
            self.writer.close()
        else:
            self._files.close(self.writer)


class _Files:
    """What keeps a store's files open beside the writer. ``reading``: the writer may not write, and this one may."""

    def __init__(self, location: Location, *, reading: bool) -> None:
        # From the start: at the end it may have to be the last one, and by then the files may be others.
        self._anchor = _connect_to_look(location) if reading else _connection(location, "ro")
        self._reading = reading
        self._location = location
        try:
            with closing(self._anchor.cursor()) as cursor:
                cursor.execute("SELECT count(*) FROM sqlite_master").fetchone()
            self.guard = FileGuard(location)
        except BaseException:
            self._anchor.close()
            raise
        self.readers = create_engine(
            "sqlite://", creator=lambda: _connection(location, "ro"), poolclass=QueuePool, pool_size=4, max_overflow=-1
        )

    def close(self, writer: Writer) -> None:
        """The last connection checkpoints if it may write, so the one that may closes last. Where the files are others'
        by now they would be written over: there it closes first.
        """
        writer.finish()
        last, first = (self._anchor.close, writer.close) if self._reading else (writer.close, self._anchor.close)
        if not self.guard.whole():
            first, last = last, first
            self.readers.dispose()  # they would be in the way
            self._bring_in(writer)
        first()
        self.readers.dispose()
        last()

    def _bring_in(self, writer: Writer) -> None:
        """Keep the commits of a -wal that was removed, where others have only read since: a command that looked."""
        if self._reading or not self.guard.only_read_since():
            return
        try:
            with self.guard.nobody_else():
                if self.guard.only_read_since():
                    writer.checkpoint()
        except (OSError, sqlite3.Error) as error:
            log.warning("the store %s: what its removed -wal held is lost: %s", self._location.shown, error)


def _make_private(location: Location) -> None:
    """Make the file where there is none, before SQLite would with the umask; its -wal and -shm get the file's mode."""
    if location.path is None:
        return
    _check_not_cut(location, location.path)
    try:
        os.close(os.open(location.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        pass  # whoever made it chose its mode
    except OSError:
        pass  # SQLite is about to fail at the same, and its errors have their sentences


def _check_not_led_away(cursor: Cursor, location: Location) -> None:
    """A link, or another's file, may have come since it was looked for. Raises StoreUnavailable."""
    if location.path is None:
        return
    check_links(location, location.path)
    check_owner(location, location.path)
    opened = cursor.execute("PRAGMA database_list").fetchone()[2]
    if not same_place(opened, location.path):
        raise StoreUnavailable(location.shown, "a link was put in its place while it was opened")


def _check_not_cut(location: Location, path: Path) -> None:
    """SQLite would remove the -wal of an empty file. Raises StoreUnavailable."""
    try:
        cut = path.stat().st_size == 0 < path.with_name(f"{path.name}-wal").stat().st_size
    except OSError:
        return
    if cut:
        problem = (
            f"the file is empty, and {path.name}-wal beside it is not: both were left as they are; put a backup in the "
            "place of the file, or move both away to begin anew"
        )
        raise StoreUnavailable(location.shown, problem)


def _connect_to_look(location: Location) -> sqlite3.Connection:
    """A connection that changes nothing, and yet leaves one file where it is the last: if it may write there."""
    assert location.path is not None
    effective = os.access in os.supports_effective_ids
    places = (location.path, location.path.parent)
    if not all(os.access(place, os.W_OK, effective_ids=effective) for place in places):
        return _connection(location, "ro")
    connection = _connection(location, "rw")
    connection.execute("PRAGMA query_only = ON")
    return connection


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
