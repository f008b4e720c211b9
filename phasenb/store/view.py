"""MemoryView: what one session sees of its store, as DataFrames.

Rule: the view is bound to (owner, session) when it is made, each of its queries carries both, and nothing of it takes
another: a task of another session is as unknown as one that never was. Synchronous; safe from several threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from phasenb.codecs import decode
from phasenb.core.task_names import the_one
from phasenb.dto.task_state import TaskState
from phasenb.dto.values import Json
from phasenb.errors import NotThere
from phasenb.store import queries, rows
from phasenb.store import statements as sql
from phasenb.store.frames import NONE_ASIDE, events_frame, logs_frame, results_frame, set_aside, tasks_frame
from phasenb.store.queries import NO_LIMIT
from phasenb.store.statements import Cursor

if TYPE_CHECKING:
    import pandas as pd

    from phasenb.codecs.objects import ObjectFolder

T = TypeVar("T")


class Read(Protocol):
    def __call__(self, job: Callable[[Cursor], T]) -> T: ...


class MemoryView:
    """The frames and values of one session. A ``task_id`` may be a task's name, or a suffix of at least 4
    characters.

    All methods raise UnknownTask and AmbiguousTask for a task that this session does not have, and StoreUnavailable.
    """

    def __init__(self, read: Read, folder: ObjectFolder, owner: str, session: str) -> None:
        self._read = read
        self._folder = folder
        self._owner = owner
        self._session = session
        self.allow_pickle = True  # False: PickleRefused for a value that only unpickling gives

    def __repr__(self) -> str:
        return f"<MemoryView of session {self._session!r}>"

    def tasks(self) -> pd.DataFrame:
        """A row per task, newest first; see memory.frames for columns and dtypes of all frames."""
        return tasks_frame(self._tasks(), self._load)

    def results(self, last: bool = False, flatten: bool = False, task_id: str | None = None) -> pd.DataFrame:
        """A row per attempt that ended, oldest first."""
        task = self._task(task_id) if task_id is not None else None
        only = task.task_id if task is not None else None
        found = self._read(lambda cursor: queries.results(cursor, self._owner, session=self._session, task_id=only))
        aside = set_aside([task] if task is not None else self._tasks()) if last else NONE_ASIDE
        return results_frame(found, last=last, flatten=flatten, load=self._load, aside=aside)

    def events(self, task_id: str | None = None) -> pd.DataFrame:
        """A row per event: one task's by seq, or the session's in the order they were committed."""
        scope = {"owner": self._owner, "session": self._session}
        if task_id is not None:
            scope["task_id"] = self._full_id(task_id)
        found = self._read(lambda cursor: sql.events_of_session(task_id is not None).all(cursor, **scope))
        return events_frame(body for (body,) in found)

    def logs(self, task_id: str) -> pd.DataFrame:
        """A row per stored line of a task's output."""
        full = self._full_id(task_id)
        found = self._read(lambda cursor: sql.LOGS.all(cursor, task_id=full, after=0, limit=NO_LIMIT))
        return logs_frame(full, [rows.log_line(row) for row in found])

    def output(self, task_id: str, phase: str) -> Any:
        """The output of a phase as it counts now, decoded: a pickle runs its writer's code. KeyError without one."""
        task = self._task(task_id)
        full = task.task_id
        found = self._read(lambda cursor: queries.results(cursor, self._owner, session=self._session, task_id=full))
        counts = task.output_among([result for _, result in found], phase)
        if counts is None:
            raise NotThere(f"task {full} has no output of {phase!r}")
        return self._load(counts.output)

    def _tasks(self) -> list[TaskState]:
        return self._read(lambda cursor: queries.tasks(cursor, self._owner, session=self._session, limit=NO_LIMIT))

    def _full_id(self, task_id: str) -> str:
        return self._task(task_id).task_id

    def _task(self, task_id: str) -> TaskState:
        session = self._session
        found = self._read(lambda cursor: queries.matching(cursor, self._owner, task_id, session=session, alone=True))
        return the_one(task_id, found, session=session, changes=False)

    def _load(self, value: Json) -> Any:
        return decode(value, self._folder, allow_pickle=self.allow_pickle)
