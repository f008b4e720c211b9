"""Writer: the one thread that changes a store, with group commit.

Rules:

* Requests are run in the order they came. All that wait at one moment are one group: one ``BEGIN IMMEDIATE``
  transaction, one fsync.
* A refusal undoes its own request alone: the group is rolled back, and each of it is run in a transaction of its own.
  Refusals are rare, and a savepoint for each request would cost every group half of its time.
* Nobody is answered before the commit. Each event loop is woken once for a group.
* A request that nobody waits for (log lines) is held back a moment for company, never reordered.
* The thread does not end before ``close``: a failed commit is answered to its group, and the next one is tried.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from phasenb.errors import StoreUnavailable
from phasenb.store.faults import unavailable
from phasenb.store.statements import Cursor

log = logging.getLogger(__name__)
T = TypeVar("T")
Job = Callable[[Cursor], Any]
Guard = Callable[[], None]  # raises StoreUnavailable where the store must not be used any more

MAX_GROUP = 512
_COMPANY_S = 0.05  # log lines reach a reader by the socket first; their fsync can wait for the next event's


def nothing_against() -> None:
    """The guard of a store that nobody can take away."""


def nothing(cursor: Cursor) -> None:
    """The job that only waits for those before it."""


@dataclass(slots=True)
class _Request:
    """``future`` is an asyncio one where ``loop`` is given; None where nobody waits: ``lost`` hears of a failure."""

    job: Job
    future: Any = None
    loop: asyncio.AbstractEventLoop | None = None
    result: Any = None
    error: BaseException | None = None
    lost: Callable[[], None] | None = None


class Writer:
    """Owns ``connection``, which is in autocommit mode and is used by no one else from now on.

    ``guard`` is asked before each transaction.
    """

    def __init__(self, connection: sqlite3.Connection, store: str, guard: Guard = nothing_against) -> None:
        self._connection = connection
        self._store = store
        self._guard = guard
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._posted = 0  # that are not committed yet
        self._thread = threading.Thread(target=self._main, name="phasenb-writer", daemon=True)
        self._thread.start()

    async def run(self, job: Callable[[Cursor], T]) -> T:
        """Run a job in the next group; returns once it is durable. Raises what the job raised, or StoreUnavailable."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(_Request(job, future, loop))
        return await future

    def call(self, job: Callable[[Cursor], T]) -> T:
        """As ``run``, blocking the calling thread."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._put(_Request(job, future))
        return future.result()

    def post(self, job: Job, lost: Callable[[], None] | None = None) -> None:
        """Run a job in some later group, soon. A failure is logged, and ``lost`` called in the writer's thread."""
        self._put(_Request(job, lost=lost))

    @property
    def posted(self) -> bool:
        """Whether something that was posted is not committed yet; ``run(nothing)`` then waits for it."""
        return self._posted > 0

    def finish(self) -> None:
        """Run what waits, then end the thread; the connection stays open. Idempotent."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def checkpoint(self) -> None:
        """Bring what is in its -wal into the store, after ``finish``. Raises sqlite3.Error, also where not all came."""
        (busy, _, _) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("somebody still reads it")

    def close(self) -> None:
        """As ``finish``, and close the connection. Idempotent."""
        self.finish()
        self._connection.close()

    def _put(self, request: _Request) -> None:
        with self._gate:
            if self._closed:
                raise StoreUnavailable(self._store, "it is closed")
            self._posted += request.future is None
            self._queue.put(request)

    # --- the thread ----------------------------------------------------------------------------------------------

    def _main(self) -> None:
        cursor = self._connection.cursor()
        open_ = True
        while open_:
            group, open_ = self._next_group()
            if group:
                self._commit(cursor, group)
                self._answer(group)
        cursor.close()

    def _next_group(self) -> tuple[list[_Request], bool]:
        """The requests that wait, and whether more may come. Waits for the first, and a moment for company."""
        group: list[_Request] = []
        deadline: float | None = None
        while len(group) < MAX_GROUP:
            try:
                if not group:
                    request = self._queue.get()
                elif deadline is None:
                    request = self._queue.get_nowait()
                else:
                    request = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                if deadline is not None or any(request.future for request in group):
                    break
                deadline = time.monotonic() + _COMPANY_S
                continue
            if request is None:
                return group, False
            group.append(request)
            if request.future is not None:
                deadline = None
        return group, True

    def _commit(self, cursor: sqlite3.Cursor, group: list[_Request]) -> None:
        if not self._begun(cursor, group) or self._ran(cursor, group) or len(group) == 1:
            return
        for place, request in enumerate(group):
            if not self._begun(cursor, group[place:]):
                return
            self._ran(cursor, [request])

    def _begun(self, cursor: sqlite3.Cursor, waiting: list[_Request]) -> bool:
        """Begin a transaction. Where SQLite can't, all that wait hear why: one wait for a lock is enough for them."""
        try:
            self._guard()
            cursor.execute("BEGIN IMMEDIATE")
        except (sqlite3.Error, StoreUnavailable) as error:
            for request in waiting:
                request.error = self._told(error)
            return False
        return True

    def _ran(self, cursor: sqlite3.Cursor, group: list[_Request]) -> bool:
        """Run and commit. Where one fails nothing of the group is kept, and a lone request hears why."""
        try:
            for request in group:
                request.result = request.job(cursor)
            cursor.execute("COMMIT")
        except Exception as error:
            self._undo(cursor)
            if len(group) == 1:
                group[0].error = self._told(error)
            return False
        return True

    def _told(self, error: Exception) -> Exception:
        """What the one who asked hears: SQLite's own errors in the words of a store."""
        return unavailable(self._store, error) if isinstance(error, sqlite3.Error) else error

    def _undo(self, cursor: sqlite3.Cursor) -> None:
        if self._connection.in_transaction:
            try:
                cursor.execute("ROLLBACK")
            except sqlite3.Error:
                log.exception("store %s: a failed transaction could not be undone", self._store)

    def _answer(self, group: list[_Request]) -> None:
        with self._gate:
            self._posted -= sum(request.future is None for request in group)
        by_loop: dict[asyncio.AbstractEventLoop, list[_Request]] = {}
        for request in group:
            if request.loop is not None:
                by_loop.setdefault(request.loop, []).append(request)
            elif request.future is not None:
                _settle(request)
            elif request.error is not None:
                log.error("store %s: not kept: %s", self._store, request.error)
                if request.lost is not None:
                    request.lost()
        for loop, requests in by_loop.items():
            try:
                loop.call_soon_threadsafe(_settle_all, requests)
            except RuntimeError:  # the loop is closed: whoever asked is gone
                log.debug("store %s: nobody waits for %d answers", self._store, len(requests))


def _settle_all(requests: list[_Request]) -> None:
    for request in requests:
        _settle(request)


def _settle(request: _Request) -> None:
    future = cast("asyncio.Future[Any]", request.future)
    if future.done():  # cancelled meanwhile
        return
    if request.error is not None:
        future.set_exception(request.error)
    else:
        future.set_result(request.result)
