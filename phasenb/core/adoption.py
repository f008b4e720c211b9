"""Adoption: a task that another host left behind is taken up here, after its last committed phase.

Rules: no task is left with a host that does not carry it: what can't be read now is tried again, and what can't be
taken up for good ends with the reason; one task's trouble is no other's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from phasenb.core.carrier import Carrier, error_of
from phasenb.core.decisions import Decision
from phasenb.core.folding import folded
from phasenb.core.history import History, Rolling
from phasenb.core.launching import Launching
from phasenb.core.live_task import LiveTask, log_fields
from phasenb.core.observers import Observers
from phasenb.core.patience import STORE_RETRY_S
from phasenb.core.ports import Adopted
from phasenb.core.secrets import located
from phasenb.core.told import Told
from phasenb.dto.phase_result import ErrorInfo
from phasenb.dto.task_state import TaskState
from phasenb.errors import Conflict, LeaseLost, StoreUnavailable, UnknownTask

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Adoption:
    """``carry`` has a task carried on by this host."""

    carrier: Carrier
    launching: Launching
    told: Told
    observers: Observers
    carry: Callable[[LiveTask], None]
    _trying: set[asyncio.Task[None]] = field(default_factory=set)

    async def adopt(self, adopted: Adopted) -> None:
        """Take a task up; where the store is out of order, later: this waits for the first try only."""
        if not await self._settled(adopted):
            trying = asyncio.create_task(self._keep_trying(adopted), name=f"adopt {adopted.task.task_id}")
            self._trying.add(trying)
            trying.add_done_callback(self._trying.discard)

    async def let_go(self) -> None:
        """Try no more."""
        trying = list(self._trying)
        for each in trying:
            each.cancel()
        await asyncio.gather(*trying, return_exceptions=True)

    async def _keep_trying(self, adopted: Adopted) -> None:
        while not await self._settled(adopted):
            await self.carrier.clock.sleep(STORE_RETRY_S)

    async def _settled(self, adopted: Adopted) -> bool:
        """False where it is to be tried again."""
        task = adopted.task
        try:
            try:
                await self._take_up(adopted)
            except (StoreUnavailable, LeaseLost, Conflict):
                raise
            except Exception as error:
                log.exception("task %s can't be taken up", task.task_id, extra=log_fields(task))
                await self._end(adopted, error)
        except LeaseLost as error:
            log.warning("task %s: %s", task.task_id, error, extra=log_fields(task))
        except (StoreUnavailable, Conflict) as error:
            log.warning("task %s can't be taken up yet: %s", task.task_id, error, extra=log_fields(task))
            return False
        except Exception:
            log.exception("task %s can't even be ended", task.task_id, extra=log_fields(task))
        return True

    async def _take_up(self, adopted: Adopted) -> None:
        found = await folded(self.carrier.store, adopted.task.task_id)
        # What the other host committed last it may not have told anyone.
        self.told.events(adopted.owner, found.task, found.events, carried=False)
        launch = located(adopted.launch, found.task.task_id, self.carrier.secrets)
        live = LiveTask(
            adopted.owner,
            found.task.changed(notebook=adopted.task.notebook),  # where it is now; the log knows where it was
            launch,
            self.launching.stored_plan(launch, found.history.phases),
            self.launching.executor_of(launch),
            found.history,
            found.values,
            adopted.lease,
        )

        self.observers.began(live.task, launch)
        try:
            await self.carrier.commit(live, lambda decision: decision.recover(adopted.lease.host))
        except BaseException:
            self.observers.gone(live.task.task_id)
            raise
        if live.task.state.terminal:
            self.carrier.forget_secrets(live.task)
            self.observers.gone(live.task.task_id)
        else:
            self.carry(live)

    async def _end(self, adopted: Adopted, error: Exception) -> None:
        """End a task that can't be taken up."""
        task, history = await self._known(adopted.task.task_id, error_of(error))
        if task.state.terminal:
            return
        decision = Decision(task, self.carrier.clock.now(), history)
        decision.abort(error_of(error))
        await self.carrier.store.append(decision.append(adopted.owner, lease=adopted.lease))
        self.carrier.forget_secrets(decision.state)
        self.told.events(adopted.owner, decision.state, decision.events, carried=False)

    async def _known(self, task_id: str, error: ErrorInfo) -> tuple[TaskState, History]:
        """By its log; else by its snapshot, since the log may be what can't be read."""
        store = self.carrier.store
        try:
            found = await folded(store, task_id)
        except StoreUnavailable:
            raise
        except Exception as problem:  # a log that no release can fold: told already, as what keeps it from its host
            log.debug("task %s: %s", task_id, problem)
        else:
            return found.task, found.history
        stored = await store.find(task_id)
        if stored is None:
            raise UnknownTask(task_id)
        back = stored.task.rolling_back
        return stored.task, History(rolling=Rolling(back, back, error) if back is not None else None)
