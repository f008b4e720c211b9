"""A task while its host carries it: the state in memory, and the places in the executors that wait for it."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from dataclasses import dataclass, field

from phasenb.core.ports import Run, Slot
from phasenb.dto.events import PhaseUpdate
from phasenb.dto.launch import Launch
from phasenb.dto.policies import RecoveryPolicy
from phasenb.dto.task_state import TaskState
from phasenb.dto.values import Json


@dataclass(eq=False)
class LiveTask:
    """One task of this host. ``task`` is replaced under ``lock`` only, by a decision that is already durable."""

    owner: str
    task: TaskState
    launch: Launch
    policy: RecoveryPolicy
    executor: str
    values: dict[str, Json]
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    slot: Slot | None = None
    run: Run | None = None
    update: PhaseUpdate | None = None
    failures: Counter[str] = field(default_factory=Counter)
    cancelled_by: str | None = None
    log_line: int = 0
    carrier: asyncio.Task[None] | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Places:
    """Who may run: at most ``capacity`` tasks at once; the others wait by priority, then in the order they came.

    A place is handed to a waiter directly, so a newcomer never overtakes.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.used = 0
        self._order = 0
        self._waiting: list[tuple[int, int, str, asyncio.Future[None]]] = []

    @property
    def free(self) -> bool:
        return self.used < self.capacity and not self._waiting

    @property
    def waiting(self) -> int:
        return sum(not place.done() for *_, place in self._waiting)

    def take(self) -> None:
        """Take a free place at once; the caller has looked at ``free``."""
        self.used += 1

    async def wait(self, task_id: str, priority: int) -> None:
        """Wait for a place. A cancelled wait leaves the queue."""
        if self.free:
            self.take()
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._order += 1
        heapq.heappush(self._waiting, (-priority, self._order, task_id, place))
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.give_back()  # the place came at the moment of the cancel
            raise

    def give_back(self) -> None:
        self.used -= 1
        while self._waiting and self.used < self.capacity:
            *_, place = heapq.heappop(self._waiting)
            if not place.done():
                self.used += 1
                place.set_result(None)

    def position(self, task_id: str) -> int | None:
        """A waiting task's position from 1, or None where it does not wait."""
        order = [entry[2] for entry in sorted(self._waiting, key=lambda entry: entry[:2]) if not entry[3].done()]
        return order.index(task_id) + 1 if task_id in order else None
