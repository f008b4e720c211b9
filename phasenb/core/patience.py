"""Patience: what carries a task waits for a store that is out of order, since what was worked out is not given up."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from phasenb.core.live_task import LiveTask
from phasenb.core.ports import Clock, Publisher
from phasenb.dto.events import PhaseUpdate
from phasenb.errors import StoreUnavailable

log = logging.getLogger(__name__)
T = TypeVar("T")
STORE_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Patience:
    """Whoever looks at the task is told what it waits for."""

    clock: Clock
    publisher: Publisher

    async def until_done(self, live: LiveTask, work: Callable[[], Awaitable[T]]) -> T:
        """What ``work`` gives, tried until its store is in order. Raises what else it raises."""
        told = False
        while True:
            try:
                return await work()
            except StoreUnavailable as problem:
                if not told:
                    told = True
                    log.error("task %s waits for its store: %s", live.task.task_id, problem, extra=live.fields)
                    self._tell(live, problem)
                await self.clock.sleep(STORE_RETRY_S)

    def _tell(self, live: LiveTask, problem: StoreUnavailable) -> None:
        """No event can say it: it could not be stored."""
        phase = live.running.phase if live.running is not None else None
        if phase is not None:
            before = live.update
            live.update = PhaseUpdate(
                task_id=live.task.task_id,
                phase=phase.name,
                attempt=phase.attempt,
                percent=before.percent if before is not None else 0.0,
                message=f"waiting for the store: {problem.problem}",
                bar=before.bar if before is not None else 0,
            )
            self.publisher.progress(live.owner, live.task, live.update)
