"""Hosts and their leases, as jobs for the writer: each is one transaction.

Rules: a task's host is a host that is known, or nobody (""), or null once the task has ended; a host that is forgotten
leaves its tasks to nobody in the same transaction, and takes none any more; taking a task raises its fence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from phasenb.core.ports import Adopted, HostInfo, Lease
from phasenb.errors import LeaseLost
from phasenb.store import rows
from phasenb.store import statements as sql
from phasenb.store.statements import Cursor

Job = Callable[[Cursor], None]


def join(host: HostInfo) -> Job:
    def job(cursor: Cursor) -> None:
        values = {"machine": host.machine, "pid": host.pid, "pid_started": host.pid_started}
        sql.INSERT_HOST.run(cursor, host=host.host, counter=0, **values)

    return job


def beat(host: str) -> Job:
    def job(cursor: Cursor) -> None:
        if sql.BEAT.run(cursor, of_host=host).rowcount != 1:
            raise LeaseLost(host)

    return job


def leave(host: str) -> Job:
    def job(cursor: Cursor) -> None:
        sql.LEAVE_TASKS.run(cursor, of_host=host)
        sql.FORGET_HOST.run(cursor, of_host=host)

    return job


def adopt(host: str, kinds: Collection[str], dead: str | None) -> Callable[[Cursor], list[Adopted]]:
    """The tasks that are this host's now; those that it can't run stay nobody's."""

    def job(cursor: Cursor) -> list[Adopted]:
        check_known(cursor, host)
        if dead is not None:
            leave(dead)(cursor)
        left = [task_id for task_id, executor in sql.LEFT_TASKS.all(cursor) if executor in kinds]
        return [_taken(cursor, task_id, host) for task_id in left]

    return job


def _taken(cursor: Cursor, task_id: str, host: str) -> Adopted:
    sql.TAKE_TASK.run(cursor, of_task=task_id, host=host)
    _, _, fence = sql.PLACE_OF_TASK.one(cursor, task_id=task_id)
    stored = rows.stored_task(sql.TASK.one(cursor, task_id=task_id))
    launch = rows.launch(sql.LAUNCH.one(cursor, task_id=task_id))
    return Adopted(stored.owner, stored.task, launch, Lease(host, fence))


def check_known(cursor: Cursor, host: str) -> None:
    """Raises LeaseLost where a host was taken for dead."""
    if sql.HOST.one(cursor, host=host) is None:
        raise LeaseLost(host)


def check_lease(cursor: Cursor, task_id: str, lease: Lease) -> None:
    """Raises LeaseLost where the task is another host's."""
    row = sql.PLACE_OF_TASK.one(cursor, task_id=task_id)
    if row is not None and (row[1], row[2]) != (lease.host, lease.fence):
        raise LeaseLost(lease.host, task_id)
