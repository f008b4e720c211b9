"""What people type for a task: its id, its name, or the end of its id. Pure.

Rules: the whole id counts first, then the exact name, then the end of an id (at least 4 characters). A name that
several tasks have is the one of this session, where only one is there; what changes a task takes a name only if no
other task of its owner has it. Everything else that several tasks have is refused, and all of them named.
"""

from __future__ import annotations

from collections.abc import Sequence

from phasenb.dto.task_state import TaskState
from phasenb.errors import AmbiguousTask, UnknownTask

MOST_NAMED = 10  # tasks that a refusal names


def the_one(text: str, found: Sequence[TaskState], *, session: str | None, changes: bool) -> TaskState:
    """Of the tasks that ``text`` may mean the one that it does. Raises UnknownTask, AmbiguousTask."""
    if not found:
        raise UnknownTask(text)
    here = [task for task in found if task.session == session]
    by_name = found[0].name == text
    if len(here) == 1 and by_name and not changes:
        return here[0]
    if len(found) == 1:
        return found[0]
    about = [f"{task.state}, session {task.session}" for task in found]
    raise AmbiguousTask(text, [task.task_id for task in found], about)
