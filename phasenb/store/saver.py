"""MemorySaver: ports.Store over one SQLite file, and the views that people read.

See schema.py for what is kept, appends.py for how a decision is written, writer.py for how commits are grouped.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import orjson

from phasenb.core.ports import Adopted, Append, Appended, Change, HostInfo, Lease, StoredTask
from phasenb.dto.events import PhaseLog
from phasenb.dto.launch import Launch
from phasenb.dto.phase import Checkpoint
from phasenb.dto.phase_result import PhaseResult
from phasenb.dto.task_state import State, TaskState
from phasenb.dto.values import Json
from phasenb.errors import StoreUnavailable, UnknownTask
from phasenb.store import hosts, notebooks, queries, rows
from phasenb.store import statements as sql
from phasenb.store.appends import PreparedAppend, known_task
from phasenb.store.artifacts import Artifacts
from phasenb.store.database import Database
from phasenb.store.heartbeat import Heartbeats
from phasenb.store.location import Location, locate
from phasenb.store.lost_lines import LostLines
from phasenb.store.opening import open_store
from phasenb.store.references import oldest_attempt, references
from phasenb.store.statements import Cursor
from phasenb.store.view import MemoryView

T = TypeVar("T")


class MemorySaver:
    """A durable results store: unlike LangGraph's MemorySaver, which keeps checkpoints in memory only.

    ``url``: a path, ``sqlite:///path`` or ``:memory:``; the folder must exist. ``artifacts``: a path or fsspec URL, by
    default ``artifacts/EPOCH`` beside the file, so that stores in one folder, and one that begins anew where another
    was removed, share nothing (a temporary folder for ``:memory:``). ``reading``: the file is only read, and refused
    where it is of another version than this release's. The constructor touches nothing: the store is opened by
    ``open``, or by its first use. Safe to use from several threads and event loops.
    """

    def __init__(self, url: str | Path, *, artifacts: str | None = None, reading: bool = False) -> None:
        self._reading = reading
        self._location: Location = locate(url)
        self._artifacts_url = artifacts
        self._opening = threading.Lock()
        self._opened: tuple[Database, Artifacts] | None = None
        self._closed = False
        self._lost_lines = LostLines()

    @classmethod
    def open(cls, url: str | Path, *, artifacts: str | None = None, reading: bool = False) -> Self:
        """Open or make the store, and bring it to this release's version (not for ``reading``); blocks.

        Raises StoreUnavailable.
        """
        saver = cls(url, artifacts=artifacts, reading=reading)
        saver._parts()
        return saver

    def _parts(self) -> tuple[Database, Artifacts]:
        if self._opened is None:
            with self._opening:
                if self._closed:
                    raise StoreUnavailable(self._location.shown, "it is closed")
                if self._opened is None:
                    self._opened = open_store(self._location, self._artifacts_url, reading=self._reading)
        return self._opened

    @property
    def _database(self) -> Database:
        return self._parts()[0]

    @property
    def _artifacts(self) -> Artifacts:
        return self._parts()[1]

    @property
    def url(self) -> str:
        """Where the store is: an absolute path, or ``:memory:``."""
        return self._location.shown

    @property
    def artifacts_url(self) -> str:
        """Where its objects are: an absolute path, or an fsspec URL."""
        return self._artifacts.url

    @property
    def epoch(self) -> str:
        return self._database.epoch

    async def close(self) -> None:
        """Commit what waits and let go of the file. Idempotent; later uses raise StoreUnavailable."""
        await asyncio.to_thread(self.close_blocking)

    def close_blocking(self) -> None:
        """As ``close``, where no event loop runs: at the end of a process."""
        with self._opening:
            self._closed = True
        if self._opened is not None:
            database, artifacts = self._opened
            database.close()
            artifacts.close()

    def view(self, owner: str, session: str) -> MemoryView:
        """The frames and values of one session: the view can name no other."""
        return MemoryView(self._database.read, self._artifacts.folder(owner), owner, session)

    # --- writing -------------------------------------------------------------------------------------------------

    async def append(self, append: Append) -> Appended:
        """See ports.Store: durable when it returns. Raises Conflict, StoreUnavailable."""
        prepared = PreparedAppend(append)
        self._post_lines(append.task.task_id)  # an attempt's last lines may have been the lost ones
        return await self._database.writer.run(prepared)

    async def launched(self, owner: str, session: str, launch: Launch) -> str | None:
        return await self._database.aread(lambda cursor: known_task(cursor, owner, session, launch))

    async def notebook_session(self, owner: str, path: str) -> str:
        known = await self._database.aread(lambda cursor: notebooks.known(cursor, owner, path))
        if known is None:
            known = await self._database.writer.run(lambda cursor: notebooks.session(cursor, owner, path))
        return known

    async def move_notebooks(self, old: str, new: str | None) -> None:
        await self._database.writer.run(lambda cursor: notebooks.move(cursor, old, new))

    async def join(self, host: HostInfo) -> None:
        await self._database.writer.run(hosts.join(host))

    def heartbeats(self, busy_s: float) -> Heartbeats | None:
        """What a heartbeat thread has; see Database."""
        return self._database.heartbeats(busy_s)

    async def beat(self, host: str) -> None:
        await self._database.writer.run(hosts.beat(host))

    async def leave(self, host: str) -> None:
        await self._database.writer.run(hosts.leave(host))

    async def adopt(self, host: str, kinds: Sequence[str], dead: str | None = None) -> list[Adopted]:
        return await self._database.writer.run(hosts.adopt(host, kinds, dead))

    async def collect(self, grace_s: float) -> int:
        """See ports.Store; of objects in a local folder only."""
        artifacts = self._artifacts
        # What a running attempt keeps is named only at its end: it is spared however long that takes.
        oldest = await self._database.aread(oldest_attempt)
        before = min(time.time(), oldest or math.inf) - grace_s
        old = await asyncio.to_thread(artifacts.not_renewed_since, before)
        if not old:
            return 0
        unnamed = old - await self._database.aread(references)
        if not unnamed:
            return 0
        # Once more, now that nobody can commit: a name may have come between.
        return await self._database.writer.run(lambda cursor: artifacts.remove(unnamed - references(cursor), before))

    async def add_log(self, log: PhaseLog) -> None:
        """Queue lines for the next commit; ``logs`` sees them at once, and they are never after a later append.

        Lines that the store could not take are counted, and said in the log once it can.
        """
        values = rows.log_values(log)
        if values:
            self._post_lines(log.task_id, (values, len(log.lines) + log.dropped))

    def _post_lines(self, task_id: str, *new: tuple[list[dict[str, Any]], int]) -> None:
        """Queue what is to be said of lost lines, then ``new`` rows, each with how many lines it stands for. Raises
        StoreUnavailable, once all that was not queued is counted as lost.
        """
        problem: StoreUnavailable | None = None
        for values, count in (*(([row], count) for row, count in self._lost_lines.taken(task_id)), *new):
            lost = partial(self._lost_lines.add, values[-1], count)
            try:
                self._database.writer.post(partial(sql.INSERT_LOG.run_many, rows=values), lost)
            except StoreUnavailable as error:
                lost()
                problem = error
        if problem is not None:
            raise problem

    async def add_checkpoint(
        self, task_id: str, phase: str, attempt: int, value: Json, lease: Lease | None = None
    ) -> None:
        """Keep the newest checkpoint of a phase. Durable when it returns. Raises LeaseLost."""
        body = orjson.dumps(value).decode()

        def job(cursor: Cursor) -> None:
            if lease is not None:
                hosts.check_lease(cursor, task_id, lease)
            sql.KEEP_CHECKPOINT.run(cursor, task_id=task_id, phase=phase, attempt=attempt, body=body)

        await self._database.writer.run(job)

    # --- reading -------------------------------------------------------------------------------------------------

    async def checkpoint(self, task_id: str, phase: str, *, since: int = 1) -> Checkpoint | None:
        row = await self._database.aread(
            lambda cursor: sql.CHECKPOINT.one(cursor, task_id=task_id, phase=phase, since=since)
        )
        return Checkpoint(value=orjson.loads(row[0])) if row else None

    async def find(self, task_id: str, *, owner: str | None = None) -> StoredTask | None:
        """By full ULID, or by a suffix of at least 4 characters that only one task (of ``owner``) has."""
        return await self._database.aread(lambda cursor: queries.find(cursor, task_id, owner=owner))

    async def matching(self, owner: str, text: str, *, session: str | None = None) -> list[TaskState]:
        return await self._database.aread(lambda cursor: queries.matching(cursor, owner, text, session=session))

    async def launch(self, task_id: str) -> Launch:
        row = await self._database.aread(lambda cursor: sql.LAUNCH.one(cursor, task_id=task_id))
        if row is None or row[0] is None:
            raise UnknownTask(task_id)
        return rows.launch(row)

    async def source(self, task_id: str, code: str) -> dict[str, str]:
        row = await self._database.aread(lambda cursor: sql.SOURCE.one(cursor, task_id=task_id, code=code))
        found: dict[str, str] = orjson.loads(row[0]) if row else {}
        return found

    async def tasks(
        self,
        owner: str,
        *,
        session: str | None = None,
        state: State | None = None,
        limit: int = 100,
        before: str | None = None,
        changed_since: datetime | None = None,
    ) -> list[TaskState]:
        asked = partial(queries.tasks, owner=owner, session=session, state=state, limit=limit, before=before)
        return await self._database.aread(partial(asked, changed_since=changed_since))

    async def changed_at(self, owner: str, *, session: str | None = None) -> datetime | None:
        return await self._database.aread(lambda cursor: queries.changed_at(cursor, owner, session))

    async def events(self, task_id: str, after_seq: int, limit: int) -> list[str]:
        found = await self._database.aread(
            lambda cursor: sql.EVENTS.all(cursor, task_id=task_id, after_seq=after_seq, limit=limit)
        )
        return [body for (body,) in found]

    async def results(
        self, owner: str, *, session: str | None = None, task_id: str | None = None
    ) -> list[tuple[str, PhaseResult]]:
        return await self._database.aread(
            lambda cursor: queries.results(cursor, owner, session=session, task_id=task_id)
        )

    async def scan_results(
        self,
        owner: str,
        take: Callable[[Sequence[tuple[str, str]]], None],
        *,
        session: str | None = None,
        task_id: str | None = None,
    ) -> None:
        await self._database.aread(
            lambda cursor: queries.scan_results(cursor, owner, take, session=session, task_id=task_id)
        )

    async def failures(self, owner: str, session: str, since: datetime, limit: int) -> list[datetime]:
        return await self._database.aread(lambda cursor: queries.failures(cursor, owner, session, since, limit))

    async def logs(self, task_id: str, *, after: int = 0, limit: int = 10_000) -> list[dict[str, Json]]:
        found = await self._database.aread(
            lambda cursor: sql.LOGS.all(cursor, task_id=task_id, after=after, limit=limit)
        )
        return [rows.log_line(row) for row in found]

    async def newest_logs(self, task_id: str, limit: int) -> list[dict[str, Json]]:
        found = await self._database.aread(lambda cursor: sql.NEWEST_LOGS.all(cursor, task_id=task_id, limit=limit))
        return [rows.log_line(row) for row in reversed(found)]

    async def hosts(self) -> list[HostInfo]:
        found = await self._database.aread(lambda cursor: sql.HOSTS.all(cursor))
        return [HostInfo(*row) for row in found]

    async def changes(self, after: int | None, limit: int = 1000) -> list[Change]:
        if after is None:
            row = await self._database.aread(lambda cursor: sql.NEWEST_CHANGE.one(cursor))
            return [Change(row[0], "")] if row and row[0] is not None else []
        found = await self._database.aread(lambda cursor: sql.CHANGES.all(cursor, after=after, limit=limit))
        return [Change(*row) for row in found]

    async def quiet_until(self) -> int | None:
        return await self._database.writer.run(self._database.quiet_until)

    # --- objects -------------------------------------------------------------------------------------------------

    async def put_object(self, owner: str, chunks: AsyncIterator[bytes], expected_hash: str) -> int:
        return await self._artifacts.put(owner, chunks, expected_hash)

    async def has_object(self, owner: str, hash: str) -> bool:
        return await self._artifacts.has(owner, hash)

    def open_object(self, owner: str, hash: str) -> AsyncIterator[bytes]:
        return self._artifacts.read(owner, hash)

    def objects_url(self, owner: str) -> str:
        return self._artifacts.url_of(owner)
