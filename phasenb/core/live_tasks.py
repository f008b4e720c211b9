"""LiveTasks: the tasks that a host carries now, each with the asyncio task that carries it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from phasenb.core.carrier import WAITING, Carrier
from phasenb.core.folding import Folded
from phasenb.core.live_task import LiveTask
from phasenb.core.observers import Observers
from phasenb.core.told import Told
from phasenb.dto.events import Event

T = TypeVar("T")


class LiveTasks(dict[str, LiveTask]):
    """By task_id. A task is in here from ``carry`` until it has ended or is let go of, and its slot is given back.

    ``host`` tells this host's name in leases, as it is now; None while others may take its tasks up.
    """

    def __init__(self, carrier: Carrier, told: Told, observers: Observers, host: Callable[[], str | None]) -> None:
        super().__init__()
        self._carrier = carrier
        self._told = told
        self._observers = observers
        self._host = host

    @property
    def waiting(self) -> int:
        """How many of them wait for a person."""
        return sum(live.task.state in WAITING for live in self.values())

    def begin(self, live: LiveTask, events: Sequence[Event], found: Folded | None = None) -> None:
        """Carry a task that is this host's since ``events``; ``found``: its log up to them, other hosts' events too."""
        try:
            self._observers.began(live.task, live.launch)
            if found is not None:
                self._told.events(live.owner, found.task, found.events, carried=False)
            self._told.events(live.owner, live.task, events)
        finally:
            self.carry(live)  # it is in the store, so it is carried, whatever its listeners make of it

    def carry(self, live: LiveTask) -> None:
        """Carry it; not where this host is silent, or got another name since it was taken: it is given away with the
        old one's.
        """
        task_id = live.task.task_id
        if live.host is not None and live.host != self._host():
            live.arrived()
            if live.slot is not None:
                self._carrier.give_back_soon(live)
            self._observers.gone(task_id)
            return
        self[task_id] = live

        def forget(_: asyncio.Task[None]) -> None:
            self._carrier.forget_secrets(live.task)
            live.arrived()
            live.ended.set()  # here, since a carrier that is cancelled before its first step runs no `finally`
            if live.slot is not None:
                self._carrier.give_back_soon(live)
            if self.get(task_id) is live:
                del self[task_id]
                self._observers.gone(task_id)

        live.carrier = asyncio.create_task(self._carrier.carry(live), name=f"carry {task_id}")
        live.carrier.add_done_callback(forget)

    async def drop(self, *tasks: LiveTask) -> None:
        """Let go of these tasks as they are."""
        carriers = [live.carrier for live in tasks if live.carrier]
        for carrier in carriers:
            carrier.cancel()
        await asyncio.gather(*carriers, return_exceptions=True)


async def to_its_end(work: Coroutine[Any, Any, T]) -> tuple[T, bool]:
    """What ``work`` gives, and whether whoever asked for it is gone by then: a task whose first event is stored must be
    carried all the same.
    """
    task, gone = asyncio.ensure_future(work), False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            gone = True
    return task.result(), gone
