"""A task while its host carries it: the state in memory, and the places in the executors that wait for it."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from phasenb.core.decisions import Decision
from phasenb.core.history import History, values_after
from phasenb.core.line import RECENT, Line
from phasenb.core.plan import Plan, Running
from phasenb.core.ports import Lease, Run, Slot
from phasenb.core.task_schema import fold
from phasenb.dto.events import Event, PhaseUpdate
from phasenb.dto.launch import Launch
from phasenb.dto.phase_result import ErrorInfo
from phasenb.dto.task_state import TaskState
from phasenb.dto.values import Json


def log_fields(task: TaskState) -> dict[str, str]:
    """``extra`` of a log record about a task: a formatter may name ``task_id``, ``session`` and ``phase``."""
    return {"task_id": task.task_id, "session": task.session, "phase": task.phase or ""}


@dataclass(eq=False)
class Doubtful:
    """What a decision gave whose commit failed in a way that may have left it in the store: ``landed`` once it is seen
    there.
    """

    decided: Any
    event: str
    landed: bool = False


@dataclass(eq=False)
class LiveTask:
    """One task of this host. ``task``, ``history`` and ``values`` change together, under ``lock``, and hold only what
    is durable already. ``wake`` is set when something happened that a waiting task should look at.
    """

    owner: str
    task: TaskState
    launch: Launch
    plan: Plan
    executor: str
    history: History
    values: dict[str, Json]
    lease: Lease | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    slot: Slot | None = None
    running: Running | None = None
    run: Run | None = None
    update: PhaseUpdate | None = None
    overrun: ErrorInfo | None = None
    give_up: ErrorInfo | None = None
    cancelled_by: str | None = None
    settling: bool = False
    arrived: Callable[[], None] = lambda: None  # at its place, in line, or where it waits for neither (Places.enter)
    lent: bool = False  # its place is that of a task that waits for it
    heard_at: float = 0.0
    log_line: int = 0
    learned: bool = False
    carrier: asyncio.Task[None] | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    doubtful: dict[object, Doubtful] = field(default_factory=dict)  # by what decides, which will be asked again
    _due: tuple[datetime, float] | None = None
    _active_s: float = 0.0
    _active_at: float | None = None

    @property
    def host(self) -> str | None:
        """The name under which this host took the task."""
        return self.lease.host if self.lease else None

    @property
    def fields(self) -> dict[str, str]:
        """What a log record about this task carries (``extra``), for handlers that write more than a message."""
        return log_fields(self.task)

    def retry_in(self, now: datetime, monotonic: float) -> float:
        """Seconds until the next attempt, 0 or less where it is due.

        The wall clock is asked when a retry is first seen here, and believed as far as the retry's own delay; from then
        on the one that never jumps.
        """
        due = self.task.retry_at
        if due is None:
            return 0.0
        if self._due is None or self._due[0] != due:
            left = min((due - now).total_seconds(), self.history.delay_s)
            self._due = (due, monotonic + left)
        return self._due[1] - monotonic

    def active_s(self, now: float) -> float:
        """Seconds that this host has seen the task not wait for a person, at ``now`` (monotonic): they never jump."""
        if self._active_at is not None:
            self._active_s += now - self._active_at
        self._active_at = now if self.history.since is not None else None
        return self._active_s

    def begin(self, now: float) -> None:
        """An attempt starts at ``now`` (monotonic)."""
        self.log_line, self.overrun, self.heard_at = 0, None, now

    def take(self, decision: Decision) -> None:
        """Make a committed decision the newest."""
        for event in decision.events:
            self.values = values_after(self.values, event, decision.history.phases)
        self.task, self.history = decision.state, decision.history

    def refold(self, events: Iterable[Event]) -> None:
        """Take up events that another host appended."""
        for event in events:
            for doubtful in self.doubtful.values():
                doubtful.landed |= event.wire == doubtful.event
            self.history = self.history.after(event)
            self.values = values_after(self.values, event, self.history.phases)
            self.task = fold([event], self.task) or self.task


class Places:
    """Who may run: at most ``capacity`` tasks at once; the others wait in line (core.line).

    A place is handed to the first in line directly, so a newcomer never overtakes. A lent place is beyond the capacity:
    the task that lends it has one, and only waits. ``held_s``: how long places were held of late, in seconds.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.used = 0
        self.line = Line()
        self.held_s: deque[float] = deque(maxlen=RECENT)
        self._arriving: Counter[str] = Counter()  # by owner
        self._wanted: dict[str, asyncio.Future[bool]] = {}

    @property
    def free(self) -> bool:
        return self.used < self.capacity and not self.line

    def enter(self, owner: str) -> Callable[[], None]:
        """A launch of an owner was admitted, and is to come here; to be called, once or more, when it has come."""
        self._arriving[owner] += 1
        coming = [owner]

        def arrived() -> None:
            if coming:
                self._arriving[coming.pop()] -= 1

        return arrived

    def waiting(self, owner: str) -> int:
        """How many of an owner's tasks wait, those included that will when they have come."""
        left = 0 if self.line else max(0, self.capacity - self.used)
        return self.line.waiting(owner) + max(0, self._arriving[owner] - left)

    def take(self) -> None:
        """Take a free place at once; the caller has looked at ``free``."""
        self.used += 1

    async def wait(self, owner: str, task_id: str, priority: int, *, lent: bool = False) -> bool:
        """Wait for a place; whether it is a lent one, which is not given back. ``lent``: one is lent already. A
        cancelled wait leaves the line.
        """
        if self.free:
            self.take()
            return False
        if lent:
            return True
        place: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._wanted[task_id] = place
        self.line.join(owner, task_id, priority)
        try:
            return await place
        except asyncio.CancelledError:
            if place.cancelled():
                self.line.leave(task_id)
            elif not place.result():
                self.give_back()  # the place came at the moment of the cancel
            raise
        finally:
            del self._wanted[task_id]

    def lend(self, task_id: str) -> None:
        """Have a task that waits for a place wait no longer."""
        place = self._wanted.get(task_id)
        if place is not None and not place.done():
            self.line.leave(task_id)
            place.set_result(True)

    def give_back(self) -> None:
        self.used -= 1
        while self.line and self.used < self.capacity:
            place = self._wanted[self.line.next()]
            if not place.done():  # else it was cancelled just now
                self.used += 1
                place.set_result(False)
