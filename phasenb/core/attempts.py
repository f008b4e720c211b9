"""Attempts: runs one attempt in a slot to its outcome, tells its progress, and ends it when its time is over.

Rules: nothing here runs what a person's code made; log lines and checkpoints that a store can't take cost themselves,
not the attempt; an attempt that overran is a failure like any other, so policies decide about it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from phasenb.core.live_task import LiveTask
from phasenb.core.patience import Patience
from phasenb.core.plan import Running
from phasenb.core.ports import Clock, Publisher, Run, Slot, Store
from phasenb.core.recovery import OWN
from phasenb.core.reports import Attempt, Beat, LogChunk, Outcome, Report
from phasenb.dto.events import PhaseLog, PhaseUpdate
from phasenb.dto.phase import Checkpoint, Phase, Step
from phasenb.dto.phase_result import ErrorInfo, ResultStatus
from phasenb.dto.policies import Timeouts
from phasenb.dto.task_state import State
from phasenb.errors import StoreUnavailable

log = logging.getLogger(__name__)
ATTEMPT_TIMEOUT = "phasenb.AttemptTimeout"
HEARTBEAT_TIMEOUT = "phasenb.HeartbeatTimeout"


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """``running_tasks`` None: as many as the executors have slots. Bytes are of one value, and of one attempt's log."""

    running_tasks: int | None = None
    queued_tasks: int = 1000
    output_inline_bytes: int = 262_144
    log_bytes: int = 4_194_304
    kill_grace_s: float = 5.0


class Attempts:
    """The ports that an attempt needs; ``agents``: registered name -> "module:attribute"."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        clock: Clock,
        limits: EngineLimits,
        agents: Mapping[str, str],
        traceparent: Callable[[str], str | None],
        patience: Patience,
    ) -> None:
        self.limits = limits
        self._store = store
        self._publisher = publisher
        self._clock = clock
        self._agents = agents
        self._traceparent = traceparent
        self._patience = patience
        self._stopping: set[asyncio.Task[None]] = set()

    async def run(self, live: LiveTask, slot: Slot, running: Running) -> Outcome:
        """Run one attempt to its outcome."""
        phase = running.phase
        timeouts = live.plan.policy.for_phase(phase.name).timeouts
        kept = await self._checkpoint(live, running)
        live.begin(self._clock.monotonic())
        run = live.run = slot.run(self._attempt(live, running, kept, timeouts))
        if live.task.state is State.CANCELLING or live.give_up is not None:
            self.stop(live)
        watch = self._watched(live, run, timeouts)
        outcome = Outcome(ResultStatus.LOST)
        try:
            async for report in run:
                if isinstance(report, Outcome):
                    outcome = report
                    break  # nothing follows it
                await self._heard(live, phase, report)
        except BaseException:  # let go of, or the task is another host's now: nothing of it may run on here
            await asyncio.shield(run.stop(0))
            raise
        finally:
            live.run = None
            if watch is not None:
                watch.cancel()
        if live.overrun is not None and outcome.status is ResultStatus.CANCELLED:
            return replace(outcome, status=ResultStatus.FAILED, error=live.overrun)
        return outcome

    async def _checkpoint(self, live: LiveTask, running: Running) -> Checkpoint | None:
        """What earlier attempts of this run of the phase kept."""
        phase, fresh = running.phase, live.history.fresh.get(running.phase.name, 1)
        if running.kind == "compensation" or phase.attempt <= fresh:
            return None
        task_id = live.task.task_id
        return await self._patience.until_done(live, lambda: self._store.checkpoint(task_id, phase.name, since=fresh))

    def stop(self, live: LiveTask) -> None:
        """End the attempt that runs: asked first, then by force."""
        if live.run is not None:
            stop = asyncio.create_task(live.run.stop(self.limits.kill_grace_s))
            self._stopping.add(stop)
            stop.add_done_callback(self._stopping.discard)

    async def settled(self) -> None:
        """Wait for attempts that are being stopped."""
        await asyncio.gather(*self._stopping, return_exceptions=True)

    def _attempt(self, live: LiveTask, running: Running, kept: Checkpoint | None, timeouts: Timeouts) -> Attempt:
        launch, phase, history = live.launch, running.phase, live.history
        undoes = running.kind == "compensation"
        fallback = None if undoes else history.fallbacks.get(phase.name)
        agent = fallback if fallback not in (None, OWN) else launch.agent
        rolling = history.rolling
        failure = rolling.error if undoes and rolling is not None else history.errors.get(phase.name)
        return Attempt(
            task_id=live.task.task_id,
            phase=phase.name,
            attempt=phase.attempt,
            owner=live.owner,
            agent=self._agents.get(agent, agent) if agent else None,
            code=None if agent else launch.code,
            values=dict(live.values),
            objects_url=self._store.objects_url(live.owner),
            phases=history.phases,
            kind=running.kind,
            runtime=launch.runtime,
            checkpoint=kept,
            failure=failure,
            inline_bytes=self.limits.output_inline_bytes,
            log_bytes=self.limits.log_bytes,
            fallback=fallback == OWN,
            feedback=history.feedback.get(phase.name),
            env=launch.options.env,
            secrets=launch.options.secrets,
            heartbeat_s=timeouts.heartbeat,
            traceparent=self._traceparent(live.task.task_id),
            session=live.task.session,
            notebook=live.task.notebook,
        )

    # --- time ------------------------------------------------------------------------------------------------------

    def _watched(self, live: LiveTask, run: Run, timeouts: Timeouts) -> asyncio.Task[None] | None:
        if timeouts.attempt is None and timeouts.heartbeat is None:
            return None
        return asyncio.create_task(self._watch(live, run, timeouts), name=f"watch {live.task.task_id}")

    async def _watch(self, live: LiveTask, run: Run, timeouts: Timeouts) -> None:
        """End the attempt when it runs too long, or is silent too long."""
        started = live.heard_at
        while True:
            now = self._clock.monotonic()
            due = [started + timeouts.attempt - now] if timeouts.attempt is not None else []
            silent = [live.heard_at + timeouts.heartbeat - now] if timeouts.heartbeat is not None else []
            left = min(due + silent)
            if left <= 0:
                live.overrun = _overran(timeouts) if due and due[0] <= 0 else _silent(timeouts)
                await run.stop(self.limits.kill_grace_s)
                return
            await self._clock.sleep(left)

    # --- reports ---------------------------------------------------------------------------------------------------

    async def _heard(self, live: LiveTask, phase: Phase, report: Report) -> None:
        live.heard_at = self._clock.monotonic()
        if isinstance(report, Step):
            self._progress(live, phase, report)
        elif isinstance(report, LogChunk | Checkpoint):
            await self._keep(live, phase, report)
        else:
            assert isinstance(report, Beat)  # a sign of life and nothing else

    def _progress(self, live: LiveTask, phase: Phase, step: Step) -> None:
        before = live.update.percent if live.update and live.update.bar == step.bar else 0.0
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
            bar=step.bar,
            line=step.line,
        )
        if update != live.update:
            live.update = update
            self._publisher.progress(live.owner, live.task, update)

    async def _keep(self, live: LiveTask, phase: Phase, report: LogChunk | Checkpoint) -> None:
        """Store lines and checkpoints. A store that is out of order costs them, not the attempt."""
        task_id = live.task.task_id
        try:
            if isinstance(report, Checkpoint):
                await self._store.add_checkpoint(task_id, phase.name, phase.attempt, report.value, live.lease)
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
            self._publisher.log(live.owner, live.task, lines)
            await self._store.add_log(lines)
        except StoreUnavailable as error:
            log.warning("task %s, %s: not kept: %s", task_id, phase.name, error, extra=live.fields)


def _overran(timeouts: Timeouts) -> ErrorInfo:
    return ErrorInfo(
        type=ATTEMPT_TIMEOUT,
        message=f"the attempt took more than {timeouts.attempt:g} s (timeouts.attempt)",
        bases=(ATTEMPT_TIMEOUT, "TimeoutError"),
    )


def _silent(timeouts: Timeouts) -> ErrorInfo:
    return ErrorInfo(
        type=HEARTBEAT_TIMEOUT,
        message=f"the phase said nothing for more than {timeouts.heartbeat:g} s (timeouts.heartbeat): "
        "call ctx.update or ctx.track more often, or raise the limit",
        bases=(HEARTBEAT_TIMEOUT, "TimeoutError"),
    )


def _share(step: Step) -> float | None:
    """Percent from done and total, where both are known."""
    return min(100.0, 100.0 * step.done / step.total) if step.done is not None and step.total else None
