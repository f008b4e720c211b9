"""Pages of snapshots, for the socket and for HTTP. A snapshot may hold megabytes of inputs and outputs: JSON of a page
ends at PAGE_BYTES, and is made in a thread where it is long, so that the loop does not stand still for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from phasenb.core.phase_manager import PhaseManager
from phasenb.dto.task_state import State, TaskState
from phasenb.web.identity import Identity

PAGE_BYTES = 4 * 1024 * 1024  # a page with a single larger snapshot has that one
AT_ONCE = 50  # values that are turned into JSON on the loop: a few milliseconds


async def tasks_of(
    manager: PhaseManager,
    identity: Identity,
    *,
    session: str | None,
    state: State | None,
    limit: int,
    before: str | None,
) -> tuple[tuple[TaskState, ...], str | None]:
    """(tasks, the next page's ``before``), newest first; ``session`` None: all of the owner's. Raises Forbidden."""
    await identity.require("read")
    found = await manager.store.tasks(identity.owner, session=session, state=state, limit=limit + 1, before=before)
    shown = tuple(manager.with_progress(task) for task in found[:limit])
    return shown, shown[-1].task_id if len(found) > limit else None


async def page_of(tasks: Sequence[TaskState], following: str | None) -> tuple[str, str | None]:
    """(the snapshots, as the inside of a JSON array; the ``before`` of the next page). ``following``: that of a page
    which has room for all of ``tasks``.
    """
    texts = await texts_of(tasks)
    return ",".join(texts), following if len(texts) == len(tasks) else tasks[len(texts) - 1].task_id


async def texts_of(tasks: Sequence[TaskState]) -> list[str]:
    """The JSON of the first snapshots, as many as a page has room for; none only where there are none."""
    return _texts_of(tasks) if len(tasks) <= AT_ONCE else await asyncio.to_thread(_texts_of, tasks)


def _texts_of(tasks: Sequence[TaskState]) -> list[str]:
    texts: list[str] = []
    size = 0
    for task in tasks:
        text = task.model_dump_json()
        size += len(text)
        if texts and size > PAGE_BYTES:
            break
        texts.append(text)
    return texts
