"""Line: the tasks that wait for a place, and whose turn it is. Pure: no clock, no waiting.

Rules:

* Owners take turns. An owner that begins to wait comes behind those that wait, and so does one that had a turn: of n
  owners that wait, each gets one of the next n places, however much any of them launches.
* An owner's tasks come by priority, then in the order in which they were launched. An id tells that order (dto.base),
  so a task that was woken, retried or taken over has the place of its launch.
* A place goes to the first task in line, and to no newcomer before it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection
from itertools import chain, zip_longest
from statistics import median

RECENT = 100  # places' times that are remembered
_SOONEST_S, _LATEST_S = 1.0, 3600.0
_Rank = tuple[int, str]  # (minus the priority, task_id)


class Line:
    """Of one executor. A task is in it once."""

    def __init__(self) -> None:
        self._owners: dict[str, list[_Rank]] = {}  # in the order of their turns; their tasks in order
        self._tasks: dict[str, tuple[str, int]] = {}
        self._positions: dict[str, int] | None = None  # until the line changes

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._tasks

    def join(self, owner: str, task_id: str, priority: int) -> None:
        self._positions = None
        self._tasks[task_id] = owner, priority
        insort(self._owners.setdefault(owner, []), (-priority, task_id))

    def leave(self, task_id: str) -> None:
        """Without a place: cancelled, or one was lent to it. One that does not wait is no error."""
        if task_id not in self._tasks:
            return
        self._positions = None
        owner, priority = self._tasks.pop(task_id)
        own = self._owners[owner]
        del own[bisect_left(own, (-priority, task_id))]
        if not own:
            del self._owners[owner]

    def next(self) -> str:
        """The task that gets a free place, which leaves the line. Raises LookupError where nobody waits."""
        if not self._owners:
            raise LookupError("nobody waits")
        self._positions = None
        owner = next(iter(self._owners))
        own = self._owners.pop(owner)
        _, task_id = own.pop(0)
        del self._tasks[task_id]
        if own:
            self._owners[owner] = own  # behind the other owners
        return task_id

    def waiting(self, owner: str) -> int:
        """How many tasks of an owner wait."""
        return len(self._owners.get(owner, ()))

    @property
    def owners(self) -> int:
        """How many owners have tasks that wait."""
        return len(self._owners)

    def order(self) -> list[str]:
        """All tasks as they get the next places, where nothing changes meanwhile."""
        rounds = chain.from_iterable(zip_longest(*self._owners.values()))
        return [rank[1] for rank in rounds if rank is not None]

    def position(self, task_id: str) -> int | None:
        """From 1, or None where the task does not wait."""
        if self._positions is None:
            # Once for all that are looked at before the line changes again: a list asks for thousands.
            self._positions = {each: number for number, each in enumerate(self.order(), 1)}
        return self._positions.get(task_id)


def room_in_s(held_s: Collection[float], places: int, owners: int) -> float | None:
    """Seconds until an owner whose queue is full has room for one task more: by the median of how long places were
    held of late, where ``owners`` wait, each with every n-th place. None: nothing is known yet.
    """
    if not held_s:
        return None
    return min(max(median(held_s) * max(1, owners) / places, _SOONEST_S), _LATEST_S)


def why_it_waits(kind: str, places: int, capacity: int) -> str:
    """What a task waits for, for people: all ``places`` of an executor of this ``kind`` and capacity are taken."""
    if places < capacity:  # limits.running_tasks
        many = "One task runs" if places == 1 else f"{places} tasks run"
        return f"{many}, as many as may at once here"
    if kind == "process":
        return {1: "The worker is busy", 2: "Both workers are busy"}.get(places, f"All {places} workers are busy")
    return "One task runs here, and one at a time can" if places == 1 else f"{places} tasks run here, as many as can"
