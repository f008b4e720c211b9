"""The events of one decision, folded as they are added: what PhaseManager commits in one transaction.

Rules: pure and synchronous; time is an argument; every event passes TaskSchema before anything is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from phasenb.core import recovery
from phasenb.core.ports import Append, Outcome
from phasenb.core.task_schema import apply
from phasenb.core.transitions import next_phase
from phasenb.dto import events as ev
from phasenb.dto.launch import Launch
from phasenb.dto.phase import Phase
from phasenb.dto.phase_result import ErrorInfo, PhaseResult, ResultStatus
from phasenb.dto.policies import PhasePolicy
from phasenb.dto.task_state import State, TaskState

E = TypeVar("E", bound=ev.BaseEvent)
NO_REASON = ErrorInfo(type="phasenb.UnknownFailure", message="the attempt ended without a reason")


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that has ended, with what a decision about it needs to know.

    ``phase`` as it was when the attempt ran; ``failures`` counts this one too, if it is one; ``roll`` in 0..1
    for jitter; ``cancelled_by`` is who asked for the cancel, if anyone did.
    """

    phase: Phase
    outcome: Outcome
    worker: str
    failures: int
    roll: float
    cancelled_by: str | None = None


class Decision:
    """A growing decision about one task. ``task`` is the state after the events so far.

    Raises IllegalTransition from every method whose event the state does not allow.
    """

    def __init__(self, task: TaskState | None, at: datetime, task_id: str = "", session: str = "") -> None:
        self.task = task
        self.at = at
        self.events: list[ev.Event] = []
        self.results: list[PhaseResult] = []
        self._ids = (task.task_id, task.session) if task else (task_id, session)

    def add(self, event_class: type[E], **fields: Any) -> E:
        seq = self.task.seq + 1 if self.task else 1
        task_id, session = self._ids
        event = event_class(task_id=task_id, session=session, seq=seq, at=self.at, **fields)
        self.task = apply(self.task, event)  # type: ignore[arg-type]  # every BaseEvent here is one of Event
        self.events.append(event)  # type: ignore[arg-type]
        return event

    def append(self, owner: str, launch: Launch | None = None) -> Append:
        assert self.task is not None  # a decision has at least one event when it is committed
        return Append(owner, self.task, tuple(self.events), tuple(self.results), launch)

    @property
    def state(self) -> TaskState:
        assert self.task is not None  # every decision but the first starts from a task
        return self.task

    # --- the decisions, in the order of a task's life ------------------------------------------------------------

    def create(self, launch: Launch, agent: str, phases: tuple[str, ...]) -> None:
        options = launch.options
        self.add(
            ev.TaskCreated,
            name=options.name or agent,
            agent=agent,
            phases=phases,
            inputs=launch.inputs,
            labels=options.labels,
            key=options.key,
        )

    def start_next(self, worker: str) -> Phase | None:
        """Start the next phase; None where every phase is complete."""
        phase = next_phase(self.state)
        if phase is None:
            return None
        self.add(ev.PhaseStarted, phase=phase.name, attempt=phase.attempt + 1, worker=worker)
        return phase

    def settle(self, ended: Ended, policy: PhasePolicy) -> None:
        """What an attempt's outcome means: it counts, it is tried again, it ends the task, or it was cancelled."""
        status = ended.outcome.status
        cancelling = self.state.state is State.CANCELLING
        if cancelling or status is ResultStatus.CANCELLED:
            # A result that arrives while cancelling does not count (design.md section 4).
            self._record(ended, ResultStatus.CANCELLED)
            if not cancelling:
                self.add(ev.CancelRequested, by=ended.worker)
            self.add(ev.TaskCancelled, by=ended.cancelled_by or ended.worker)
        elif status is ResultStatus.COMPLETE:
            result = self._record(ended, status)
            self.add(ev.PhaseComplete, phase=ended.phase.name, attempt=ended.phase.attempt, result=result)
        else:
            self._fail(ended, policy)

    def finish_if_done(self) -> bool:
        """Add ``task_complete`` when no phase is left."""
        if next_phase(self.state) is not None:
            return False
        self.add(ev.TaskComplete, duration_s=(self.at - self.state.created_at).total_seconds())
        return True

    def cancel(self, by: str) -> None:
        """Ask for the task's end; at once where nothing runs. Adds nothing where that already holds."""
        if self.state.state in (State.CANCELLED, State.CANCELLING):
            return
        runs = self.state.running is not None
        self.add(ev.CancelRequested, by=by)
        if not runs:
            self.add(ev.TaskCancelled, by=by)

    def abort(self, error: ErrorInfo) -> None:
        """End the task with an error that is not a phase's own."""
        self.add(ev.TaskError, error=error, phase=self.state.phase)

    # --- helpers ---------------------------------------------------------------------------------------------------

    def _fail(self, ended: Ended, policy: PhasePolicy) -> None:
        error = ended.outcome.error or NO_REASON
        name, attempt = ended.phase.name, ended.phase.attempt
        self._record(ended, ended.outcome.status)
        verdict = recovery.decide(policy, error, attempt, ended.failures, ended.roll)
        if isinstance(verdict, recovery.Abort):
            self.add(ev.PhaseFailed, phase=name, attempt=attempt, error=error, next="abort")
            self.add(ev.TaskError, error=error, phase=name)
            return
        self.add(ev.PhaseFailed, phase=name, attempt=attempt, error=error, next="retry")
        self.add(
            ev.PhaseRetrying,
            phase=name,
            attempt=verdict.attempt,
            maximum_attempts=verdict.maximum_attempts,
            delay_s=round(verdict.delay_s, 3),
            due_at=self.at + timedelta(seconds=verdict.delay_s),
        )

    def _record(self, ended: Ended, status: ResultStatus) -> PhaseResult:
        outcome, started = ended.outcome, ended.phase.started_at or self.at
        kept = status is ResultStatus.COMPLETE
        result = PhaseResult(
            phase=ended.phase.name,
            attempt=ended.phase.attempt,
            status=status,
            started_at=started,
            ended_at=self.at,
            duration_s=(self.at - started).total_seconds(),
            output=outcome.output if kept else None,
            output_type=outcome.output_type if kept else None,
            output_bytes=outcome.output_bytes if kept else None,
            error=None if kept else outcome.error,
            worker=ended.worker,
            metrics=outcome.metrics,
            artifacts=outcome.artifacts,
        )
        self.results.append(result)
        return result
