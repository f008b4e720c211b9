"""Questions that take more than one statement's rows: shared by MemorySaver (async) and MemoryView (sync)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import islice

from phasenb.core.ports import StoredTask
from phasenb.core.task_names import MOST_NAMED
from phasenb.dto.base import format_time
from phasenb.dto.phase_result import PhaseResult
from phasenb.dto.task_state import State, TaskState
from phasenb.store import rows
from phasenb.store import statements as sql
from phasenb.store.statements import Cursor

MIN_SUFFIX = 4
ULID_LENGTH = 26
NO_LIMIT = 2**31 - 1
PAGE_ROWS = 500  # parsed, they stay in the processor's cache: pages of 5,000 take half as long again for each row
_AFTER_ALL = "~"  # sorts after every character of a ULID


def find(cursor: Cursor, task_id: str, *, owner: str | None = None) -> StoredTask | None:
    """A task by its ULID or by a suffix of at least 4 characters that is unique where it is looked for."""
    found = _ending(cursor, task_id, owner, None, 2)
    return found[0] if len(found) == 1 else None


def matching(cursor: Cursor, owner: str, text: str, *, session: str | None, alone: bool = False) -> list[TaskState]:
    """The tasks that ``text`` may mean (core.task_names): of this id, else of this name, else with an id that ends so.
    Those of ``session`` first, newest first, at most MOST_NAMED; ``alone``: no others.
    """
    within = session if alone else None
    if len(text.strip()) == ULID_LENGTH and (whole := _ending(cursor, text, owner, within, 1)):
        return [whole[0].task]
    named = sql.tasks_named(alone).all(cursor, owner=owner, name=text, here=session or "", limit=MOST_NAMED)
    if named:
        return [rows.stored_task(row).task for row in named]
    return [stored.task for stored in _ending(cursor, text, owner, within, MOST_NAMED)]


def _ending(cursor: Cursor, text: str, owner: str | None, session: str | None, limit: int) -> list[StoredTask]:
    wanted = text.strip().upper()
    if not wanted.isascii() or not wanted.isalnum() or len(wanted) < MIN_SUFFIX:
        return []
    scope = {name: value for name, value in (("owner", owner), ("session", session)) if value is not None}
    low = wanted[::-1]
    statement = sql.tasks_by_suffix(owner is not None, session is not None)
    return [
        rows.stored_task(row) for row in statement.all(cursor, low=low, high=low + _AFTER_ALL, limit=limit, **scope)
    ]


def tasks(
    cursor: Cursor,
    owner: str,
    *,
    session: str | None = None,
    state: State | None = None,
    limit: int,
    before: str | None = None,
    changed_since: datetime | None = None,
) -> list[TaskState]:
    """Newest first."""
    asked = {"session": session, "state": state.value if state else None, "before": before}
    asked["changed_since"] = format_time(changed_since) if changed_since else None
    statement = sql.newest_tasks(*(value is not None for value in asked.values()))
    given = {name: value for name, value in asked.items() if value is not None}
    return [rows.stored_task(row).task for row in statement.all(cursor, owner=owner, limit=limit, **given)]


def changed_at(cursor: Cursor, owner: str, session: str | None = None) -> datetime | None:
    given = {"owner": owner} if session is None else {"owner": owner, "session": session}
    found = sql.newest_change(session is not None).all(cursor, **given)
    return datetime.fromisoformat(found[0][0]) if found else None


def failures(cursor: Cursor, owner: str, session: str, since: datetime, limit: int) -> list[datetime]:
    """When attempts of a session failed, oldest first: the newest ``limit``, after ``since``."""
    found = sql.NEWEST_FAILURES.run(cursor, owner=owner, session=session, since=format_time(since))
    counted = (result for (body,) in iter(found.fetchone, None) if (result := rows.result(body)).counts_as_failure)
    return sorted(result.ended_at for result in islice(counted, limit) if result.ended_at > since)


def results(
    cursor: Cursor, owner: str, *, session: str | None = None, task_id: str | None = None
) -> list[tuple[str, PhaseResult]]:
    """(task_id, result), oldest first."""
    found = _results(cursor, owner, session, task_id).fetchall()
    return [(of_task, rows.result(body)) for of_task, body in found]


def scan_results(
    cursor: Cursor,
    owner: str,
    take: Callable[[Sequence[tuple[str, str]]], None],
    *,
    session: str | None = None,
    task_id: str | None = None,
) -> None:
    """Pages of (task_id, body), oldest first."""
    rest = _results(cursor, owner, session, task_id)
    while page := rest.fetchmany(PAGE_ROWS):
        take(page)


def _results(cursor: Cursor, owner: str, session: str | None, task_id: str | None) -> Cursor:
    given = {name: value for name, value in (("session", session), ("task_id", task_id)) if value is not None}
    return sql.results_of(session is not None, task_id is not None).run(cursor, owner=owner, **given)
