"""Heartbeat: the one thread that shows that a host lives: to other hosts, by the store, and to its guardians.

Rules: it has a connection of its own, and waits for no other thread and no event loop; what it does is decided by
core.silence. Where the host's loop stands for too long it falls silent, so that others can take the tasks up.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress

from phasenb.core import real_clock
from phasenb.core.ports import HostInfo
from phasenb.core.silence import LOOP_STANDS_S, Life, OwnLease
from phasenb.errors import LeaseLost, PhasenbError, StoreUnavailable
from phasenb.store import hosts
from phasenb.store import statements as sql
from phasenb.store.faults import unavailable
from phasenb.store.writer import Guard

log = logging.getLogger(__name__)
_BEATS = 4  # in one lease: three may be late
_TURNS = 16  # in one lease: a guardian hears of the host in each


class Heartbeats:
    """A host's own connection to the store's hosts, for one thread. ``open`` it there."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], store: str, guard: Guard) -> None:
        self._connect = connect
        self._store = store
        self._guard = guard
        self._connection: sqlite3.Connection | None = None

    def beat(self, host: str) -> None:
        """Durable when it returns. Raises LeaseLost, StoreUnavailable."""
        self._guard()
        try:
            with closing(self._opened().cursor()) as cursor:
                cursor.execute("BEGIN IMMEDIATE")
                try:
                    hosts.beat(host)(cursor)
                    cursor.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        cursor.execute("ROLLBACK")
                    raise
        except sqlite3.Error as error:
            self.close()  # the next one opens anew: this one may hold the files as they were
            raise unavailable(self._store, error) from None

    def others(self, host: str) -> list[HostInfo] | None:
        """The other hosts; None where they can't be read, as of a store that was taken away: others may have it."""
        try:
            self._guard()
            with closing(self._opened().cursor()) as cursor:
                found = [HostInfo(*row) for row in sql.HOSTS.all(cursor)]
        except (sqlite3.Error, StoreUnavailable):
            return None
        return [each for each in found if each.host != host]

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection


class Heartbeat:
    """``feed(now)`` tells the guardians. ``store`` None: a store in memory, which no other host can write to.

    ``start`` and ``beat`` are called on the loop of the host. ``stands_s``: for how long that may stand.
    """

    def __init__(
        self,
        store: Heartbeats | None,
        feed: Callable[[float], None],
        *,
        lease_s: float,
        stands_s: float = LOOP_STANDS_S,
    ) -> None:
        now = real_clock.monotonic()
        self._store = store
        self._feed = feed
        self._lease_s = lease_s
        self._life = Life(OwnLease(lease_s, now, now), stands_s)
        self._host: str | None = None
        self._turned = now  # when the loop had its newest turn
        self._due = now
        self._asked: list[asyncio.Future[None]] = []
        self._silent = False
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._main, name="phasenb-heartbeat", daemon=True)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        await asyncio.to_thread(self._thread.join)

    async def beat(self, host: str) -> None:
        """The next heartbeat, as ``host`` from now on. Raises LeaseLost, StoreUnavailable."""
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._host = host
            self._asked.append(asked)
        self._wake.set()
        await asked

    # --- the thread ------------------------------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            while not self._stopping:
                self._turn(real_clock.monotonic())
                self._wake.wait(self._lease_s / _TURNS)
                self._wake.clear()
        except RuntimeError as error:  # the loop is closed: there is no host any more
            log.debug("heartbeats end: %s", error)
        finally:
            if self._store is not None:
                self._store.close()

    def _turn(self, now: float) -> None:
        self._loop.call_soon_threadsafe(self._turned_at, now)
        stood_s = now - self._turned
        if not self._life.beats(stood_s):
            if not self._silent:
                log.warning("this process's event loop has stood for %.0f s: its tasks are given up", stood_s)
            self._silent = True
            return
        self._silent = False
        with self._lock:
            host, asked, self._asked = self._host, self._asked, []
        others = None
        if host is not None and (asked or now >= self._due):
            self._due = now + self._lease_s / _BEATS
            self._beat(host, now, asked)
        if host is not None and self._store is not None and self._life.lease.late(real_clock.monotonic()):
            others = self._store.others(host)
        answered = real_clock.monotonic()
        if self._life.feeds(now, answered, others):
            self._feed(answered)

    def _turned_at(self, now: float) -> None:
        self._turned = now

    def _beat(self, host: str, now: float, asked: list[asyncio.Future[None]]) -> None:
        problem: PhasenbError | None = None
        try:
            if self._store is not None:
                self._store.beat(host)
        except PhasenbError as error:
            problem = error
        else:
            self._life.lease.beat(now, real_clock.monotonic())
        if isinstance(problem, LeaseLost):
            with self._lock:  # nobody is fed for a host that was taken for dead, until it has another name
                self._host = None if self._host == host else self._host
            self._life.forgotten = True
        elif problem is None:
            self._life.forgotten = False
        if asked:
            self._loop.call_soon_threadsafe(_settle, asked, problem)


def _settle(asked: list[asyncio.Future[None]], problem: PhasenbError | None) -> None:
    for future in asked:
        if future.done():
            continue
        if problem is None:
            future.set_result(None)
        else:
            future.set_exception(problem)
