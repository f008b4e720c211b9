"""One decision as one job for the writer: all its JSON is made beforehand, in the caller's thread.

Compare-and-set: a task's row moves only from ``events[0].seq - 1``, and, where only its host may write, only under
the newest fence; whoever comes second gets Conflict, whoever was taken for dead LeaseLost. A launch is looked up and
written in the same transaction, so two of the same key can't both be new.
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Any

import orjson

from phasenb.core.ports import Append, Appended, Lease
from phasenb.dto.launch import Launch, code_id
from phasenb.errors import Conflict, LeaseLost
from phasenb.store import rows
from phasenb.store import statements as sql
from phasenb.store.hosts import check_known
from phasenb.store.statements import Cursor


class PreparedAppend:
    """A job: run it on a cursor within a transaction. Raises Conflict, LeaseLost."""

    def __init__(self, append: Append) -> None:
        task, events = append.task, append.events
        if not events or task.seq != events[-1].seq or any(event.task_id != task.task_id for event in events):
            raise ValueError("an append holds a task's events up to the task's seq, and no other task's")
        self._append = append
        self._expected = events[0].seq - 1
        self._task = rows.task_values(task)
        self._events = [
            {"task_id": task.task_id, "seq": event.seq, "type": event.type, "body": event.wire} for event in events
        ]
        self._results = [rows.result_values(task.task_id, result) for result in append.results]
        known = self._expected == 0 or append.launch is not None
        self._launch = _launch_values(append) if known else {}
        self._texts, self._source = _texts(append)

    def __call__(self, cursor: Cursor) -> Appended:
        append = self._append
        task_id = append.task.task_id
        if self._expected == 0:
            launch = append.launch
            known = None if launch is None else known_task(cursor, append.owner, append.task.session, launch)
            if known is not None:
                return Appended(known, duplicate=True)
        if append.take is not None:
            check_known(cursor, append.take.host)
        if self._expected == 0:
            self._create(cursor)
        else:
            self._move(cursor)
            if append.launch is not None:
                self._replace_code(cursor)
        if len(self._events) == 1:
            sql.INSERT_EVENT.run(cursor, **self._events[0])
        else:
            sql.INSERT_EVENT.run_many(cursor, self._events)
        for result in self._results:
            sql.INSERT_RESULT.run(cursor, **result)
        if append.take is None:
            return Appended(task_id, lease=append.lease)
        fence = 1 if self._expected == 0 else sql.PLACE_OF_TASK.one(cursor, task_id=task_id)[2]
        return Appended(task_id, lease=Lease(append.take.host, fence))

    def _create(self, cursor: Cursor) -> None:
        task = self._append.task
        where = {"task_id": task.task_id, "owner": self._append.owner, "session": task.session}
        take = self._append.take
        host = {"host": take.host if take else "", "executor": take.executor if take else None, "fence": 1}
        try:
            sql.INSERT_TASK.run(
                cursor,
                **where,
                name=task.name,
                reversed_id=task.task_id[::-1],
                launched_by=task.notebook,
                **self._task,
                **host,
            )
        except sqlite3.IntegrityError:
            raise self._conflict(cursor) from None
        self._keep_texts(cursor)
        sql.INSERT_LAUNCH.run(cursor, **where, **self._launch)

    def _move(self, cursor: Cursor) -> None:
        append, parameters = self._append, dict(self._task)
        if append.lease is not None:
            parameters |= {"of_host": append.lease.host, "of_fence": append.lease.fence}
        if append.take is not None:
            parameters |= {"host": append.take.host, "executor": append.take.executor}
        ends = append.task.state.terminal
        moved = sql.move_task(append.lease is not None, append.take is not None, ends).run(
            cursor,
            of_task=append.task.task_id,
            of_owner=append.owner,
            expected_seq=self._expected,
            **parameters,
        )
        if moved.rowcount != 1:
            raise self._conflict(cursor)

    def _replace_code(self, cursor: Cursor) -> None:
        """A retry brought other code: inputs, key and idempotency key stay the launch's."""
        self._keep_texts(cursor)
        sql.REPLACE_CODE.run(
            cursor,
            of_task=self._append.task.task_id,
            body=self._launch["body"],
            code_hash=self._launch["code_hash"],
        )

    def _keep_texts(self, cursor: Cursor) -> None:
        for text in self._texts:
            sql.INSERT_CODE.run(cursor, **text)
        if self._source is not None:
            sql.KEEP_SOURCE.run(cursor, **self._source)

    def _conflict(self, cursor: Cursor) -> Conflict | LeaseLost:
        task_id, lease = self._append.task.task_id, self._append.lease
        row = sql.PLACE_OF_TASK.one(cursor, task_id=task_id)
        if row and lease is not None and row[1] is not None and (row[1], row[2]) != (lease.host, lease.fence):
            return LeaseLost(lease.host, task_id)
        found = f"its log is at {row[0]}" if row else "it has no log yet"
        return Conflict(task_id, f"{found}, and this decision was made at {self._expected}")


def known_task(cursor: Cursor, owner: str, session: str, launch: Launch) -> str | None:
    """The task that an equal launch made already. Raises Conflict where ``if_exists`` is ``error``."""
    where = {"owner": owner, "session": session}
    if launch.idempotency_key is not None:
        row = sql.TASK_OF_IDEMPOTENCY_KEY.one(cursor, **where, idempotency_key=launch.idempotency_key)
        if row:
            return str(row[0])
    options = launch.options
    if options.key is None or options.if_exists == "new":
        return None
    row = sql.NEWEST_TASK_OF_KEY.one(cursor, **where, key=options.key)
    if row and options.if_exists == "error":
        raise Conflict(row[0], f"it has the key {options.key!r} already, and if_exists is 'error'")
    return str(row[0]) if row else None


def _launch_values(append: Append) -> dict[str, Any]:
    """The columns of ``launches``."""
    inputs = orjson.dumps(append.task.inputs).decode()
    launch = append.launch
    empty = {"idempotency_key": None, "key": None, "inputs": inputs, "body": None, "code_hash": None}
    if launch is None:
        return empty
    code = launch.code if isinstance(launch.code, str) else None
    left_out = {"source"} if code is None else {"code", "source"}
    if orjson.dumps(launch.inputs).decode() == inputs:
        left_out.add("inputs")
    known = {
        "idempotency_key": launch.idempotency_key,
        "key": launch.options.key,
        "body": launch.model_dump_json(exclude=left_out),
        "code_hash": None if code is None else _hash(code),
    }
    return {**empty, **known}


def _texts(append: Append) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The rows of ``code`` that a launch brings, and that of ``sources``."""
    launch = append.launch
    if launch is None:
        return [], None
    texts = [launch.code] if isinstance(launch.code, str) else []
    code, source = code_id(launch.code), None
    if code is not None and launch.source:
        texts.append(orjson.dumps(launch.source, option=orjson.OPT_SORT_KEYS).decode())
        source = {"task_id": append.task.task_id, "code": code, "text_hash": _hash(texts[-1])}
    return [{"hash": _hash(text), "body": text} for text in texts], source


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
