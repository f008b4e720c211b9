"""All SQL that runs after the store is open: named and described here, built by SQLAlchemy Core, compiled once.

A statement runs on a DBAPI cursor with named parameters. Compiling it anew for each call, as Core's own execution
does, costs more than the statement itself (measured: 3.5-4.7 ms a task instead of 1.5-2.8).
The shapes are portable: no SQLite-only SQL beyond ``ON CONFLICT``, which PostgreSQL has too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

from sqlalchemy import ClauseElement, Integer, Table, Text, and_, bindparam, delete, func, null, or_, select, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import Insert, insert

from phasenb.dto.phase_result import FAILURES
from phasenb.store.schema import (
    checkpoints,
    code,
    events,
    hosts,
    launches,
    logs,
    meta,
    migrations,
    notebooks,
    results,
    sources,
    tasks,
)

_DIALECT = sqlite.dialect(paramstyle="named")


class Cursor(Protocol):
    """What is used of a DBAPI cursor."""

    @property
    def rowcount(self) -> int: ...
    def execute(self, sql: str, parameters: Any = ..., /) -> Any: ...
    def executemany(self, sql: str, parameters: Any, /) -> Any: ...
    def fetchone(self) -> Any: ...
    def fetchmany(self, size: int = ..., /) -> Sequence[Any]: ...
    def fetchall(self) -> Sequence[Any]: ...


class Statement:
    """A compiled statement; parameters by name. ``cursor`` is given back, for its rows or its rowcount."""

    def __init__(self, clause: ClauseElement) -> None:
        compiled = clause.compile(dialect=_DIALECT)
        self.sql = str(compiled)
        # Constants of the clause (a LIMIT) are parameters too.
        self._fixed = {name: value for name, value in (compiled.params or {}).items() if value is not None}

    def run(self, cursor: Cursor, **parameters: Any) -> Cursor:
        cursor.execute(self.sql, {**self._fixed, **parameters} if self._fixed else parameters)
        return cursor

    def run_many(self, cursor: Cursor, rows: list[dict[str, Any]]) -> None:
        cursor.executemany(self.sql, rows)

    def one(self, cursor: Cursor, **parameters: Any) -> Any:
        """The first row, or None."""
        return self.run(cursor, **parameters).fetchone()

    def all(self, cursor: Cursor, **parameters: Any) -> Sequence[Any]:
        return self.run(cursor, **parameters).fetchall()


def _insert(table: Table) -> Insert:
    """All columns as parameters, but for an ``id``, which the database counts."""
    return insert(table).values(
        {column.name: bindparam(column.name) for column in table.columns if column.name != "id"}
    )


# --- writing -----------------------------------------------------------------------------------------------------

# A new task's rows. ``launched_by``: the path of its notebook, where one launched it.
INSERT_TASK = Statement(
    _insert(tasks).values(
        notebook=select(notebooks.c.id)
        .where(notebooks.c.owner == bindparam("owner"), notebooks.c.path == bindparam("launched_by"))
        .scalar_subquery()
    )
)
INSERT_LAUNCH = Statement(_insert(launches))
INSERT_CODE = Statement(_insert(code).on_conflict_do_nothing())
_source = _insert(sources)
KEEP_SOURCE = Statement(
    _source.on_conflict_do_update(index_elements=["task_id", "code"], set_={"text_hash": _source.excluded.text_hash})
)


@cache
def move_task(held: bool, taken: bool, ends: bool) -> Statement:
    """The compare-and-set of an append: touches one row, or none where the log moved on.

    ``held``: only under the lease ``of_host`` with ``of_fence``; ``taken``: the task becomes ``host``'s; ``ends``: it
    is nobody's any more.
    """
    clause = update(tasks).where(
        tasks.c.task_id == bindparam("of_task"),
        tasks.c.owner == bindparam("of_owner"),
        tasks.c.seq == bindparam("expected_seq"),
    )
    if held:
        clause = clause.where(tasks.c.host == bindparam("of_host"), tasks.c.fence == bindparam("of_fence"))
    values: dict[str, Any] = {name: bindparam(name) for name in ("state", "seq", "updated_at", "snapshot")}
    if taken:
        values |= {"host": bindparam("host"), "executor": bindparam("executor"), "fence": tasks.c.fence + 1}
    if ends:
        values["host"] = null()
    return Statement(clause.values(values))


INSERT_EVENT = Statement(_insert(events))
INSERT_RESULT = Statement(_insert(results))
INSERT_LOG = Statement(_insert(logs))

REPLACE_CODE = Statement(
    update(launches)
    .where(launches.c.task_id == bindparam("of_task"))
    .values({"body": bindparam("body"), "code_hash": bindparam("code_hash")})
)

_checkpoint = _insert(checkpoints)
KEEP_CHECKPOINT = Statement(
    _checkpoint.on_conflict_do_update(
        index_elements=["task_id", "phase"],
        set_={"attempt": _checkpoint.excluded.attempt, "body": _checkpoint.excluded.body},
    )
)

# Whether a launch is known: by its idempotency key, and the newest task of a key.
TASK_OF_IDEMPOTENCY_KEY = Statement(
    select(launches.c.task_id).where(
        launches.c.owner == bindparam("owner"),
        launches.c.session == bindparam("session"),
        launches.c.idempotency_key == bindparam("idempotency_key"),
    )
)
NEWEST_TASK_OF_KEY = Statement(
    select(launches.c.task_id)
    .where(
        launches.c.owner == bindparam("owner"),
        launches.c.session == bindparam("session"),
        launches.c.key == bindparam("key"),
    )
    .order_by(launches.c.id.desc())
    .limit(1)
)

# --- reading -----------------------------------------------------------------------------------------------------

_task = (
    select(tasks.c.owner, tasks.c.snapshot, launches.c.inputs, tasks.c.notebook, notebooks.c.path)
    .join_from(tasks, launches)
    .outerjoin(notebooks, tasks.c.notebook == notebooks.c.id)
)

TASK = Statement(_task.where(tasks.c.task_id == bindparam("task_id")))
PLACE_OF_TASK = Statement(
    select(tasks.c.seq, tasks.c.host, tasks.c.fence).where(tasks.c.task_id == bindparam("task_id"))
)
LAUNCH = Statement(
    select(launches.c.body, launches.c.inputs, code.c.body)
    .outerjoin(code, launches.c.code_hash == code.c.hash)
    .where(launches.c.task_id == bindparam("task_id"))
)
SOURCE = Statement(
    select(code.c.body)
    .join_from(sources, code)
    .where(sources.c.task_id == bindparam("task_id"), sources.c.code == bindparam("code"))
)
EVENTS = Statement(
    select(events.c.body)
    .where(events.c.task_id == bindparam("task_id"), events.c.seq > bindparam("after_seq"))
    .order_by(events.c.seq)
    .limit(bindparam("limit"))
)
LOGS = Statement(
    select(logs.c.id, logs.c.phase, logs.c.attempt, logs.c.line, logs.c.stream, logs.c.at, logs.c.text)
    .where(logs.c.task_id == bindparam("task_id"), logs.c.id > bindparam("after"))
    .order_by(logs.c.id)
    .limit(bindparam("limit"))
)
NEWEST_LOGS = Statement(
    select(logs.c.id, logs.c.phase, logs.c.attempt, logs.c.line, logs.c.stream, logs.c.at, logs.c.text)
    .where(logs.c.task_id == bindparam("task_id"))
    .order_by(logs.c.id.desc())
    .limit(bindparam("limit"))
)
CHECKPOINT = Statement(
    select(checkpoints.c.body).where(
        checkpoints.c.task_id == bindparam("task_id"),
        checkpoints.c.phase == bindparam("phase"),
        checkpoints.c.attempt >= bindparam("since"),
    )
)


@cache
def tasks_by_suffix(of_owner: bool, in_session: bool) -> Statement:
    """Tasks whose reversed id lies in ``[low, high)``: their ids end alike."""
    clause = _task.where(tasks.c.reversed_id >= bindparam("low"), tasks.c.reversed_id < bindparam("high"))
    clause = clause.limit(bindparam("limit"))
    if of_owner:
        clause = clause.where(tasks.c.owner == bindparam("owner"))
    if in_session:
        clause = clause.where(tasks.c.session == bindparam("session"))
    return Statement(clause)


@cache
def tasks_named(in_session: bool) -> Statement:
    """An owner's tasks of one name: those of ``here`` first, newest first; ``in_session``: those alone."""
    clause = _task.where(tasks.c.owner == bindparam("owner"), tasks.c.name == bindparam("name"))
    if in_session:
        clause = clause.where(tasks.c.session == bindparam("here"))
    clause = clause.order_by((tasks.c.session == bindparam("here")).desc(), tasks.c.task_id.desc())
    return Statement(clause.limit(bindparam("limit")))


@cache
def newest_tasks(in_session: bool, in_state: bool, before: bool, changed: bool) -> Statement:
    """An owner's tasks, newest first; ``changed``: only those that changed at ``changed_since`` or later."""
    clause = _task.where(tasks.c.owner == bindparam("owner"))
    if in_session:
        clause = clause.where(tasks.c.session == bindparam("session"))
    if in_state:
        clause = clause.where(tasks.c.state == bindparam("state"))
    if before:
        clause = clause.where(tasks.c.task_id < bindparam("before"))
    if changed:
        clause = clause.where(tasks.c.updated_at >= bindparam("changed_since"))
    return Statement(clause.order_by(tasks.c.task_id.desc()).limit(bindparam("limit")))


@cache
def newest_change(in_session: bool) -> Statement:
    """When an owner's tasks changed last."""
    clause = select(tasks.c.updated_at).where(tasks.c.owner == bindparam("owner"))
    if in_session:
        clause = clause.where(tasks.c.session == bindparam("session"))
    return Statement(clause.order_by(tasks.c.updated_at.desc()).limit(1))


@cache
def results_of(in_session: bool, of_task: bool) -> Statement:
    """(task_id, body) of an owner's results, oldest first."""
    clause = select(results.c.task_id, results.c.body).join(tasks).where(tasks.c.owner == bindparam("owner"))
    if in_session:
        clause = clause.where(tasks.c.session == bindparam("session"))
    if of_task:
        clause = clause.where(results.c.task_id == bindparam("task_id"))
    return Statement(clause.order_by(results.c.id))


# The newest failures in a session, of tasks that changed at ``since`` or later: an older failure can be no newer than
# its task's last change. Without a limit: which of them count is not for SQL to say.
NEWEST_FAILURES = Statement(
    select(results.c.body)
    .join(tasks)
    .where(
        tasks.c.owner == bindparam("owner"),
        tasks.c.session == bindparam("session"),
        tasks.c.updated_at >= bindparam("since"),
        or_(*(results.c.status == status.value for status in FAILURES)),
    )
    .order_by(results.c.id.desc())
)


@cache
def events_of_session(of_task: bool) -> Statement:
    """A session's events in the order they were committed."""
    clause = (
        select(events.c.body)
        .join(tasks)
        .where(tasks.c.owner == bindparam("owner"), tasks.c.session == bindparam("session"))
    )
    if of_task:
        clause = clause.where(events.c.task_id == bindparam("task_id"))
    return Statement(clause.order_by(events.c.id))


# --- notebooks -----------------------------------------------------------------------------------------------------

INSERT_NOTEBOOK = Statement(_insert(notebooks))
SESSION_OF_NOTEBOOK = Statement(
    select(notebooks.c.session).where(notebooks.c.owner == bindparam("owner"), notebooks.c.path == bindparam("path"))
)
NOTEBOOK_OF_SESSION = Statement(
    select(notebooks.c.id).where(notebooks.c.owner == bindparam("owner"), notebooks.c.session == bindparam("session"))
)
# The file ``at`` a path, and what is below the folder: from its path and "/" to its path and the next character.
_there = or_(
    notebooks.c.path == bindparam("at"),
    and_(notebooks.c.path >= bindparam("below"), notebooks.c.path < bindparam("above")),
)
FORGET_NOTEBOOKS = Statement(update(notebooks).where(_there).values(path=null()))
MOVE_NOTEBOOKS = Statement(
    update(notebooks)
    .where(_there)
    .values(path=bindparam("new", type_=Text).concat(func.substr(notebooks.c.path, bindparam("rest", type_=Integer))))
)

# --- hosts ---------------------------------------------------------------------------------------------------------

INSERT_HOST = Statement(_insert(hosts))
HOSTS = Statement(select(hosts))
HOST = Statement(select(hosts.c.host).where(hosts.c.host == bindparam("host")))
BEAT = Statement(update(hosts).where(hosts.c.host == bindparam("of_host")).values({"counter": hosts.c.counter + 1}))
FORGET_HOST = Statement(delete(hosts).where(hosts.c.host == bindparam("of_host")))
# Whose a host's tasks are once it is gone: nobody's, until someone takes them.
LEAVE_TASKS = Statement(update(tasks).where(tasks.c.host == bindparam("of_host")).values({"host": ""}))
# Nobody's, or a host's that is not known: a comparison, as it leaves out nulls by the index.
LEFT_TASKS = Statement(
    select(tasks.c.task_id, tasks.c.executor)
    .where(tasks.c.host >= "", tasks.c.host.not_in(select(hosts.c.host)))
    .order_by(tasks.c.task_id)
)
LIVE_SNAPSHOTS = Statement(select(tasks.c.snapshot).where(tasks.c.host >= ""))
TAKE_TASK = Statement(
    update(tasks)
    .where(tasks.c.task_id == bindparam("of_task"))
    .values({"host": bindparam("host"), "fence": tasks.c.fence + 1})
)
CHANGES = Statement(
    select(events.c.id, tasks.c.owner, events.c.task_id, events.c.seq, events.c.body)
    .join(tasks)
    .where(events.c.id > bindparam("after"))
    .order_by(events.c.id)
    .limit(bindparam("limit"))
)
NEWEST_CHANGE = Statement(select(func.max(events.c.id)))

# --- the store itself ----------------------------------------------------------------------------------------------

EPOCH = Statement(select(meta.c.value).where(meta.c.name == "epoch"))
INSERT_META = Statement(_insert(meta))
VERSION = Statement(select(migrations.c.version).order_by(migrations.c.version.desc()).limit(1))
INSERT_MIGRATION = Statement(_insert(migrations))
