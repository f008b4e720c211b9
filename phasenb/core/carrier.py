"""Carrier: takes one task after another through its attempts, over ports.

Rules:

* A decision (core.decisions) is made on the newest state, committed in one transaction, and only then told to anyone.
* One attempt of a task runs at a time; its slot stays with it from phase to phase and is given back before a wait.
* Nothing here runs what a person's code made: values pass through encoded.
* A failure of ours ends the task with ``task_error``; no task is left without anyone to carry it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from phasenb.core.decisions import Decision, Ended
from phasenb.core.live_task import LiveTask, Places
from phasenb.core.ports import Attempt, Clock, Executor, LogChunk, Outcome, Publisher, Slot, Store
from phasenb.core.transitions import next_phase
from phasenb.dto.events import PhaseLog, PhaseUpdate
from phasenb.dto.phase import Checkpoint, Phase, Step
from phasenb.dto.phase_result import ErrorInfo, ResultStatus
from phasenb.dto.task_state import State
from phasenb.errors import Conflict, PhasenbError, StoreUnavailable

log = logging.getLogger(__name__)
_CONFLICTS = 5  # more refusals of one decision than other hosts can cause by chance
_STORE_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """``running_tasks`` None: as many as the executors have slots. Bytes are of one value, and of one attempt's log."""

    running_tasks: int | None = None
    queued_tasks: int = 1000
    output_inline_bytes: int = 262_144
    log_bytes: int = 4_194_304
    kill_grace_s: float = 5.0


@dataclass(eq=False)
class Carrier:
    """The ports, and what carrying needs. ``roll`` gives 0..1 for jitter; ``agents``: name -> "module:attribute"."""

    store: Store
    executors: Mapping[str, Executor]
    publisher: Publisher
    clock: Clock
    limits: EngineLimits
    agents: Mapping[str, str]
    roll: Callable[[], float]
    places: dict[str, Places] = field(init=False)
    _stopping: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        most = self.limits.running_tasks
        self.places = {
            kind: Places(min(executor.capacity, most) if most else executor.capacity)
            for kind, executor in self.executors.items()
        }

    async def carry(self, live: LiveTask) -> None:
        """Take a task to its end. Cancelling this coroutine lets go of the task as it is."""
        try:
            while not live.task.state.terminal:
                await self._take_place(live)
                try:
                    await self._run_phases(live)
                finally:
                    slot, live.slot = live.slot, None
                    await self.give_back(live.executor, slot, held=True)
                await self._wait_for_retry(live)
        except asyncio.CancelledError:
            if not live.task.state.terminal and live.task.state is not State.CANCELLING:
                raise
        except PhasenbError as error:
            await self._end_with(live, ErrorInfo(type=f"phasenb.{type(error).__name__}", message=str(error)))
        except Exception as error:
            log.exception("task %s could not be carried on", live.task.task_id)
            await self._end_with(live, ErrorInfo(type="phasenb.InternalError", message=type(error).__name__))
        finally:
            live.ended.set()

    async def _take_place(self, live: LiveTask) -> None:
        """A place and a slot for the task; at launch it may have both already."""
        if live.slot is None:
            await self.places[live.executor].wait(live.task.task_id, live.launch.options.priority)
            try:
                live.slot = await self.executors[live.executor].reserve(live.owner, live.launch.runtime)
            except BaseException:
                self.places[live.executor].give_back()
                raise

    async def _run_phases(self, live: LiveTask) -> None:
        """Run attempts in the task's slot until the task ends or has to wait."""
        while True:
            slot = live.slot
            if slot is None or not slot.alive:
                live.slot = None
                if slot is not None:
                    await slot.release()
                slot = live.slot = await self.executors[live.executor].reserve(live.owner, live.launch.runtime)
            if live.task.running is None:
                await self.commit(live, lambda decision, slot=slot: _start(decision, slot))  # type: ignore[misc]
            phase = live.task.running
            if phase is None:
                return
            ended = await self._attempt(live, slot, phase)
            await self.commit(live, lambda decision, ended=ended, slot=slot: self._settle(live, decision, ended, slot))  # type: ignore[misc]
            live.update = None
            if live.task.state is not State.RUNNING:
                return

    def _settle(self, live: LiveTask, decision: Decision, ended: Ended, slot: Slot) -> None:
        ended = replace(ended, cancelled_by=live.cancelled_by)
        decision.settle(ended, live.policy.for_phase(ended.phase.name))
        if decision.state.state is State.RUNNING:
            live.values[ended.phase.name] = ended.outcome.output
            if not decision.finish_if_done() and slot.alive:
                decision.start_next(slot.worker)

    async def _attempt(self, live: LiveTask, slot: Slot, phase: Phase) -> Ended:
        """Run one attempt to its outcome, telling its progress on the way."""
        kept = await self.store.checkpoint(live.task.task_id, phase.name) if phase.attempt > 1 else None
        live.log_line = 0
        live.run = slot.run(self._attempt_of(live, phase, kept))
        if live.task.state is State.CANCELLING:
            self.interrupt(live)
        outcome = Outcome(ResultStatus.LOST)
        try:
            async for report in live.run:
                if isinstance(report, Outcome):
                    outcome = report
                elif isinstance(report, Step):
                    self._progress(live, phase, report)
                else:
                    await self._keep(live, phase, report)
        except asyncio.CancelledError:
            await asyncio.shield(live.run.stop(0))
            raise
        finally:
            live.run = None
        if outcome.status in (ResultStatus.FAILED, ResultStatus.LOST):
            live.failures[phase.name] += 1
        return Ended(phase, outcome, slot.worker, live.failures[phase.name], self.roll())

    def _attempt_of(self, live: LiveTask, phase: Phase, kept: Checkpoint | None) -> Attempt:
        launch = live.launch
        failed = live.task.error if phase.attempt > 1 else None
        return Attempt(
            task_id=live.task.task_id,
            phase=phase.name,
            attempt=phase.attempt,
            owner=live.owner,
            agent=self.agents.get(launch.agent) if launch.agent else None,
            code=launch.code,
            values=dict(live.values),
            objects_url=self.store.objects_url(live.owner),
            phases=tuple(each.name for each in live.task.phases),
            runtime=launch.runtime,
            checkpoint=kept,
            failure=failed.error if failed and failed.phase == phase.name else None,
            inline_bytes=self.limits.output_inline_bytes,
            log_bytes=self.limits.log_bytes,
        )

    async def _wait_for_retry(self, live: LiveTask) -> None:
        due = live.task.retry_at
        if live.task.state is State.RETRYING and due is not None:
            await self.clock.sleep(max(0.0, (due - self.clock.now()).total_seconds()))

    def interrupt(self, live: LiveTask) -> None:
        """End what runs for a task that is to be cancelled: its attempt, or the wait that it is in."""
        if live.run is not None:
            stop = asyncio.create_task(live.run.stop(self.limits.kill_grace_s))
            self._stopping.add(stop)
            stop.add_done_callback(self._stopping.discard)
        elif live.carrier is not None and live.task.state is State.CANCELLED:
            live.carrier.cancel()

    # --- reports ---------------------------------------------------------------------------------------------------

    def _progress(self, live: LiveTask, phase: Phase, step: Step) -> None:
        before = live.update.percent if live.update else 0.0
        update = PhaseUpdate(
            task_id=live.task.task_id,
            phase=phase.name,
            attempt=phase.attempt,
            percent=max(before, step.percent if step.percent is not None else _share(step) or 0.0),
            done=step.done,
            total=step.total,
            message=step.message,
            metrics=step.metrics,
            eta_s=step.eta_s,
        )
        if update != live.update:
            live.update = update
            self.publisher.progress(live.owner, live.task, update)

    async def _keep(self, live: LiveTask, phase: Phase, report: LogChunk | Checkpoint) -> None:
        """Store lines and checkpoints. A store that is out of order costs them, not the attempt."""
        task_id = live.task.task_id
        try:
            if isinstance(report, Checkpoint):
                await self.store.add_checkpoint(task_id, phase.name, phase.attempt, report.value)
                return
            first = live.log_line + report.dropped + 1
            live.log_line = first + len(report.lines) - 1
            lines = PhaseLog(
                task_id=task_id,
                phase=phase.name,
                attempt=phase.attempt,
                first_line=first,
                dropped=report.dropped,
                lines=report.lines,
            )
            self.publisher.log(live.owner, live.task, lines)
            await self.store.add_log(lines)
        except StoreUnavailable as error:
            log.warning("task %s, %s: not kept: %s", task_id, phase.name, error)

    # --- commits ---------------------------------------------------------------------------------------------------

    async def commit(self, live: LiveTask, decide: Callable[[Decision], None]) -> None:
        """Decide on the newest state, commit, then tell. Decides again when another host's event came first."""
        async with live.lock:
            for _ in range(_CONFLICTS):
                decision = Decision(live.task, self.clock.now())
                decide(decision)
                if not decision.events:
                    return
                try:
                    await self.store.append(decision.append(live.owner))
                except Conflict:
                    stored = await self.store.find(live.task.task_id)
                    live.task = stored.task if stored else live.task
                    continue
                live.task = decision.state
                self.publisher.events(live.owner, decision.state, decision.events)
                return
            raise Conflict(live.task.task_id, "other hosts keep changing this task")

    async def _end_with(self, live: LiveTask, error: ErrorInfo) -> None:
        while not live.task.state.terminal:
            try:
                await self.commit(live, lambda decision: decision.abort(error))
            except StoreUnavailable as problem:
                # The error must reach the log: it is the only trace that this task ended.
                log.error("task %s: %s", live.task.task_id, problem)
                await self.clock.sleep(_STORE_RETRY_S)

    async def give_back(self, kind: str, slot: Slot | None, *, held: bool = False) -> None:
        if slot is not None:
            await slot.release()
        if slot is not None or held:
            self.places[kind].give_back()

    def waits_for(self, live: LiveTask) -> str:
        places = self.places[live.executor]
        return f"all {places.capacity} places of executor {live.executor} are taken"

    async def settled(self) -> None:
        """Wait for attempts that are being stopped."""
        await asyncio.gather(*self._stopping, return_exceptions=True)


def _start(decision: Decision, slot: Slot) -> None:
    if decision.state.state in (State.QUEUED, State.RUNNING, State.RETRYING) and next_phase(decision.state):
        decision.start_next(slot.worker)


def _share(step: Step) -> float | None:
    """Percent from done and total, where both are known."""
    return min(100.0, 100.0 * step.done / step.total) if step.done is not None and step.total else None
