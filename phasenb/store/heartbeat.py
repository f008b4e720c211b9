"""Heartbeat: the one thread that shows that a host lives: to other hosts, by the store, and to its guardians.

Rules:

* It has a connection of its own, and waits for no other thread and no event loop; what it does is decided by
  core.silence.
* It alone says whether this host can show that it lives. The loop only asks: one that stands, for long or again and
  again for a moment, takes nothing from the lease.
* Where the loop stands for too long it falls silent, so that others can take the tasks up.
* Nothing but the host's end ends it. An error of one turn is logged and given to who waits for that turn's heartbeat,
  and the next turn comes.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress

from phasenb.core import real_clock
from phasenb.core.ports import HostInfo
from phasenb.core.silence import LOOP_STANDS_S, Life, OwnLease, froze
from phasenb.errors import LeaseLost, PhasenbError, StoreUnavailable
from phasenb.store import hosts
from phasenb.store import statements as sql
from phasenb.store.faults import unavailable
from phasenb.store.writer import Guard

log = logging.getLogger(__name__)
_BEATS = 4  # in one lease: three may be late
_TURNS = 16  # in one lease: a guardian hears of the host in each
_HANGS = 2  # looks at one and the same turn, beyond the first


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
    """core.ports.Heart. ``feed(now)`` tells the guardians. ``store`` None: a store in memory, which no other host can
    write to.

    Made and used on the loop of the host. ``stands_s``: for how long that may stand.
    """

    def __init__(
        self,
        store: Heartbeats | None,
        feed: Callable[[float], None],
        *,
        lease_s: float,
        stands_s: float = LOOP_STANDS_S,
        monotonic: Callable[[], float] = real_clock.monotonic,
    ) -> None:
        now = monotonic()
        self._monotonic = monotonic
        self._store = store
        self._feed = feed
        self._lease_s = lease_s
        self._life = Life(OwnLease(lease_s, now, now), stands_s)
        self._host: str | None = None
        self._turned = now  # when the loop had its newest turn
        self._due = now
        self._asked: list[asyncio.Future[None]] = []
        self._silent = False
        self._lost: str | None = None  # the host that others may soon take for dead
        self._turns = _Turns(lease_s, monotonic)
        self._looked = self._hangs = 0
        self._told = ""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._main, name="phasenb-heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        await asyncio.to_thread(self._thread.join)

    def joined(self, host: str, asked: float) -> None:
        with self._lock:
            self._host, self._life.forgotten = host, False
            self._life.lease.beat(asked, self._monotonic())

    async def beat(self, host: str) -> None:
        """The next heartbeat, as ``host`` from now on. Raises LeaseLost, StoreUnavailable."""
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._host = host
            self._asked.append(asked)
        self._wake.set()
        await asked

    def lost(self, host: str) -> bool:
        if self._lost == host:
            return True
        # Nor can it write while it hangs in the store, for longer than a lock is waited for: over several looks.
        within = self._turns.within
        self._hangs, self._looked = self._hangs + 1 if within == self._looked != 0 else 0, within
        now = self._monotonic()
        return self._hangs >= _HANGS and self._life.lease.lost(now, now, None)

    def steady_since(self, now: float) -> float:
        return self._life.lease.steady_since(now)

    def frozen(self) -> bool:
        """Whether this process was frozen, up to a lease ago. From any thread."""
        return self._turns.frozen()

    # --- the thread ------------------------------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            while not (self._stopping or self._loop.is_closed()):
                try:
                    self.turn(self._monotonic())
                except Exception as error:
                    self._failed(error)
                else:
                    self._told = ""
                self._wake.wait(self._lease_s / _TURNS)
                self._wake.clear()
        finally:
            if self._store is not None:
                self._store.close()

    def _failed(self, error: Exception) -> None:
        """A turn failed in a way that nobody foresaw: told once for as long as it lasts."""
        told = f"{type(error).__name__}: {error}"
        if told != self._told and not self._loop.is_closed():  # which a turn can find out before its thread does
            log.error("a heartbeat failed; the next ones go on", exc_info=error)
        self._told = told

    def turn(self, now: float) -> None:
        """Beat where it is time to, and let the guardians know. Raises what the store raises beside PhasenbError."""
        self._turns.begin()
        try:
            self._turn(now)
        finally:
            self._turns.end()

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
        if host is not None and (asked or now >= self._due):
            self._due = now + self._lease_s / _BEATS
            self._beat(host, now, asked)
        self._show(host, now)

    def _show(self, host: str | None, now: float) -> None:
        """Decide by what the others do, where this host's beats are missing."""
        others = None
        if host is not None and self._store is not None and self._life.lease.late(self._monotonic()):
            others = self._store.others(host)
        answered = self._monotonic()
        self._lost = host if self._life.lease.lost(now, answered, others) else None
        if self._life.feeds(now, answered, others):
            self._feed(answered)

    def _turned_at(self, now: float) -> None:
        self._turned = now

    def _beat(self, host: str, now: float, asked: list[asyncio.Future[None]]) -> None:
        problem: Exception | None = None
        try:
            if self._store is not None:
                self._store.beat(host)
        except Exception as error:
            problem = error
        with self._lock:  # it may have another name by now
            if self._host == host and problem is None:
                self._life.lease.beat(now, self._monotonic())
                self._life.forgotten = False
            elif self._host == host and isinstance(problem, LeaseLost):
                # Nobody is fed for a host that was taken for dead, until it has another name.
                self._host, self._life.forgotten = None, True
        if asked:
            self._loop.call_soon_threadsafe(_settle, asked, problem)
        if problem is not None and not isinstance(problem, PhasenbError):
            raise problem


class _Turns:
    """When a thread had its turns. A gap between two of them is one of the whole process; one within a turn may be the
    store's, which it waits for.
    """

    def __init__(self, lease_s: float, monotonic: Callable[[], float]) -> None:
        self._lease_s = lease_s
        self._monotonic = monotonic
        self._count = 0
        self.within = 0  # the number of the turn that it is in; 0 between two
        self._mark = (monotonic(), _busy_s())
        self._thawed: float | None = None

    def begin(self) -> None:
        self._count += 1
        if self._froze():
            self._thawed = self._monotonic()
        self.within = self._count

    def end(self) -> None:
        self._mark = (self._monotonic(), _busy_s())
        self.within = 0

    def _froze(self) -> bool:
        at, busy_s = self._mark
        return froze(self._monotonic() - at, _busy_s() - busy_s, self._lease_s)

    def frozen(self) -> bool:
        """Now, as its next turn is yet to come, or up to a lease ago."""
        thawed = self._thawed
        between = self.within == 0 and self._froze()
        return between or (thawed is not None and self._monotonic() - thawed < self._lease_s)


def _busy_s(*, _read: Callable[[], float] = time.process_time) -> float:
    return _read()


def _settle(asked: list[asyncio.Future[None]], problem: Exception | None) -> None:
    for future in asked:
        if future.done():
            continue
        if problem is None:
            future.set_result(None)
        else:
            future.set_exception(problem)
