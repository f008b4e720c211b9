"""The events of one decision, folded as they are added: what a host commits in one transaction.

Rules: pure and synchronous; time is an argument; every event passes TaskSchema before anything is written; what an
attempt's end means (``settle``) and what the task does next (``proceed``) are decided together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from phasenb.core import recovery
from phasenb.core.history import History, seconds_between
from phasenb.core.plan import Ended, Plan, Running
from phasenb.core.ports import Append, Lease, Taking
from phasenb.core.reports import Outcome
from phasenb.core.secrets import given_names
from phasenb.core.task_schema import SCHEMA, apply
from phasenb.core.transitions import next_phase
from phasenb.dto import events as ev
from phasenb.dto.launch import Launch, code_id
from phasenb.dto.phase import AttemptKind, Phase, PhaseStatus
from phasenb.dto.phase_result import ErrorInfo, PhaseResult, ResultStatus, frozen, is_failure
from phasenb.dto.task_state import State, TaskState
from phasenb.dto.values import Json
from phasenb.errors import Conflict

E = TypeVar("E", bound=ev.BaseEvent)
_GOING_ON = (State.QUEUED, State.RUNNING, State.RETRYING, State.AWAITING_APPROVAL)
NO_REASON = ErrorInfo(type="phasenb.UnknownFailure", message="the attempt ended without a reason")


@dataclass(slots=True)
class Decision:
    """A growing decision about one task. ``task`` is the state after the events so far, ``history`` likewise.

    Raises IllegalTransition from every method whose event the state does not allow.
    """

    task: TaskState | None
    at: datetime
    history: History = field(default_factory=History)
    plan: Plan = field(default_factory=Plan)
    task_id: str = ""
    session: str = ""
    events: list[ev.Event] = field(default_factory=list)
    results: list[PhaseResult] = field(default_factory=list)

    def add(self, event_class: type[E], **fields: Any) -> E:
        task = self.task
        seq, task_id, session = (task.seq + 1, task.task_id, task.session) if task else (1, self.task_id, self.session)
        event = event_class(task_id=task_id, session=session, seq=seq, at=self.at, **fields)
        self.task = apply(task, event)  # type: ignore[arg-type]  # every BaseEvent here is one of Event
        self.history = self.history.after(event)  # type: ignore[arg-type]
        self.events.append(event)  # type: ignore[arg-type]
        return event

    def append(
        self, owner: str, launch: Launch | None = None, lease: Lease | None = None, take: Taking | None = None
    ) -> Append:
        return Append(owner, self.state, tuple(self.events), tuple(self.results), launch, lease, take)

    @property
    def state(self) -> TaskState:
        assert self.task is not None  # every decision but the first starts from a task
        return self.task

    @property
    def _kind(self) -> AttemptKind:
        """What the attempt that runs is: while a rollback is open, nothing but compensations runs."""
        return "phase" if self.history.rolling is None else "compensation"

    # --- the life of a task ----------------------------------------------------------------------------------------

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
            notebook=launch.runtime.notebook if launch.runtime else None,
            secrets=given_names(options),
            parent=launch.parent,
            code=code_id(launch.code),
        )

    def proceed(self, worker: str | None, values: Mapping[str, Json]) -> Running | None:
        """What comes next where nothing runs: the next attempt (returned), a gate, the end.

        ``values``: the outputs so far, of which a gate shows the last. ``worker`` None: there is none yet, so no
        attempt is started; what needs none is decided all the same.
        """
        if self.state.given_up is not None:
            self._after_retries(self.state.given_up)
            if self.state.state.terminal:
                return None
        if self.history.rolling is not None:
            if worker is None and self.history.rolling.next is not None:
                return None
            undoing = self._undo_next(worker or "")
            if undoing is not None or self.state.state.terminal:
                return undoing
        phase = next_phase(self.state)
        if phase is None:
            self.add(ev.TaskComplete, duration_s=seconds_between(self.state.created_at, self.at))
            return None
        if phase.name in self.plan.approve_before and phase.name not in self.history.approved:
            self._ask(phase, values)
            return None
        if worker is None:
            return None
        self.add(ev.PhaseStarted, phase=phase.name, attempt=phase.attempt + 1, worker=worker)
        return Running(self.state.phase_named(phase.name), "phase")

    def settle(
        self,
        ended: Ended,
        cancelled_by: str | None = None,
        give_up: ErrorInfo | None = None,
        host: str | None = None,
    ) -> None:
        """What an attempt's outcome means: it counts, it is tried again, undone, replaced, or it ends the task.

        ``cancelled_by``: who asked for the cancel, if anyone did; ``give_up``: why the task must end now; ``host``: who
        carries it.
        """
        status = ended.outcome.status
        cancelling = self.state.state is State.CANCELLING
        if give_up is not None and not cancelling and status is not ResultStatus.COMPLETE:
            self._record(ended, ResultStatus.FAILED, give_up)
            self.add(ev.TaskError, error=self._cut(give_up), phase=ended.phase.name)
        elif cancelling or status is ResultStatus.CANCELLED:
            # A result that arrives while cancelling does not count (design.md section 4).
            self._record(ended, ResultStatus.CANCELLED)
            if not cancelling:
                self.add(ev.CancelRequested, by=ended.worker)
            self._end_cancelled(cancelled_by or ended.worker)
        elif status is ResultStatus.COMPLETE:
            result = self._record(ended, status)
            where = {"phase": ended.phase.name, "attempt": ended.phase.attempt, "kind": ended.kind}
            self.add(ev.PhaseComplete, **where, result=result)
            over = next_phase(self.state) is None
            if over and (self.state.state is State.PAUSED or give_up is not None):
                self.add(ev.TaskComplete, duration_s=seconds_between(self.state.created_at, self.at))
            elif give_up is not None:  # the attempt was quicker than its end: its result counts
                self.abort(give_up)
        elif forgiven(ended.outcome, self.history):
            self._record(ended, ResultStatus.LOST)
            self.add(ev.TaskRecovered, host=host or "", lost_attempt=ended.phase.attempt, reason="frozen")
        elif ended.kind == "compensation":
            self._fail_undo(ended)
        else:
            self._fail(ended)

    # --- what people ask for ---------------------------------------------------------------------------------------

    def cancel(self, by: str) -> None:
        """Ask for the task's end; at once where nothing runs. Adds nothing where that already holds."""
        if self.state.state in (State.CANCELLED, State.CANCELLING):
            return
        runs = self.state.running is not None
        self.add(ev.CancelRequested, by=by)
        if not runs:
            self._end_cancelled(by)

    def pause(self, by: str) -> None:
        """Start nothing new after the running attempt. Adds nothing where that already holds."""
        if self.state.state is not State.PAUSED:
            self.add(ev.TaskPaused, by=by)

    def resume(self, by: str) -> None:
        """Go on after a pause. Adds nothing where the task goes on already."""
        if self.state.state not in _GOING_ON:
            self.add(ev.TaskResumed, by=by)

    def give_up(self, by: str, if_seq: int | None = None) -> None:
        """Don't make the attempt that is waited for. Adds nothing where that already holds. Raises Conflict where the
        task is not at event ``if_seq`` any more, IllegalTransition where it is paused.
        """
        task = self.state
        if task.given_up is not None:
            return
        if if_seq is not None and if_seq != task.seq:
            raise Conflict(task.task_id, f"it is at event {task.seq} now, not at {if_seq}")
        waiting = [phase.name for phase in task.phases if phase.status is PhaseStatus.RETRYING]
        if waiting and task.state is State.PAUSED:  # what follows may be a fallback, and nothing starts in a pause
            raise SCHEMA.refusal(task, "retry_given_up", "resume it first, then give the retry up")
        self.add(ev.RetryGivenUp, phase=waiting[0] if waiting else task.phases[0].name, by=by)

    def approve(self, by: str, phase: str, note: str | None, edit: tuple[Json] | None) -> None:
        """Open the gate before ``phase``; ``edit``: (value,) in place of the output before it."""
        gate, phases = self.state.approval, self.history.phases
        if gate is None or edit is None:
            self.add(ev.ApprovalGiven, phase=phase, note=note, by=by)
            return
        revision = gate.revision + 1
        self.add(ev.ApprovalGiven, phase=phase, note=note, by=by, edited=edit[0], revision=revision)
        edited = self.state.phase_named(phases[phases.index(phase) - 1])
        self.results.append(
            PhaseResult(
                phase=edited.name,
                attempt=edited.attempt,
                revision=revision,
                status=ResultStatus.COMPLETE,
                started_at=self.at,
                ended_at=self.at,
                duration_s=0.0,
                output=edit[0],
                worker=f"edited by {by}",
                fallback=edited.fallback,
            )
        )

    def deny(self, by: str, phase: str, reason: str, redo: str | None) -> None:
        """Keep the gate shut: run ``redo`` again with the reason, or end the task."""
        self.add(ev.ApprovalDenied, phase=phase, reason=reason, redo=redo, by=by)
        if redo is None:
            self._end_cancelled(by)

    def retry(self, by: str, from_phase: str | None, code: Json = None) -> str:
        """Run a task that failed or was cancelled again, from a phase on, which is returned; None: from the first that
        is not complete. ``code``: what it runs from now on, where that is new.
        """
        first = next_phase(self.state)
        start = from_phase or (first.name if first else self.state.phases[-1].name)
        self.add(ev.TaskRetried, from_phase=start, new_code=code is not None, code=code_id(code), by=by)
        return start

    # --- what happens to it ----------------------------------------------------------------------------------------

    def abort(self, error: ErrorInfo) -> None:
        """End the task with an error that is not a phase's own; an attempt that runs ends with it."""
        running = self.state.running
        if running is not None:
            outcome = Outcome(ResultStatus.FAILED, error=error)
            self._record(Ended(running, outcome, "", 0.5, self._kind), ResultStatus.FAILED)
        self.add(ev.TaskError, error=self._cut(error), phase=self.state.phase)

    def cancelled(self, by: str | None) -> None:
        """End a task that is being cancelled and runs nothing any more."""
        if self.state.state is State.CANCELLING:
            self._end_cancelled(by or "phasenb")

    def recover(self, host: str) -> None:
        """Take the task up after its host was lost; too many of these in a row end it. Adds nothing where it has ended:
        by a person's word to another host, while this one was about to take it up.
        """
        if self.state.state.terminal:
            return
        running = self.state.running
        self.add(ev.TaskRecovered, host=host, lost_attempt=running.attempt if running else None)
        if running is not None:
            lost = ErrorInfo(type="phasenb.HostLost", message="the host that ran this attempt is gone")
            self._record(Ended(running, Outcome(ResultStatus.LOST, error=lost), "", 0.5, self._kind), ResultStatus.LOST)
        most = self.plan.policy.maximum_recoveries
        if self.history.recoveries > most:
            problem = f"its host was lost {self.history.recoveries} times during one phase (maximum_recoveries: {most})"
            self.abort(ErrorInfo(type="phasenb.TooManyRecoveries", message=problem, retryable=False))
        elif self.state.state is State.CANCELLING:
            self._end_cancelled(host)

    # --- failures --------------------------------------------------------------------------------------------------

    def _fail(self, ended: Ended) -> None:
        error = ended.outcome.error or NO_REASON
        name = ended.phase.name
        self._record(ended, ended.outcome.status)
        where = {"phase": name, "attempt": ended.phase.attempt, "error": error}
        if error.missing_secret:
            self._wait_for_secret(ended, error)
            return
        if ended.threshold is not None:
            self._give_up(where, error.changed(message=f"{error.message}\n{ended.threshold}"))
            return
        failures = self.history.failures.get(name, 0) + 1
        self._follow(
            where, recovery.decide(self.plan.policy.for_phase(name), self._failure(where, failures, ended.roll))
        )

    def _failure(self, where: Mapping[str, Any], failures: int, roll: float = 0.5) -> recovery.Failure:
        name, history = where["phase"], self.history
        return recovery.Failure(
            where["error"],
            where["attempt"],
            failures,
            roll=roll,
            own_fallback=name in self.plan.fallbacks,
            fallback_runs=name in history.fallbacks,
            rollbacks=history.rollbacks.get(name, 0),
            before=history.phases[: history.phases.index(name)],
        )

    def _after_retries(self, name: str) -> None:
        """What follows the last attempt of a phase, as nobody waits for another one."""
        assert self.state.error is not None  # what it failed with
        attempt = self.state.phase_named(name).attempt
        where = {"phase": name, "attempt": attempt, "error": self.state.error.error, "given_up": True}
        if self._kind == "compensation":
            self.add(ev.PhaseFailed, **where, kind="compensation", next="abort")
            return
        failure = self._failure(where, self.history.failures.get(name, 1))
        self._follow(where, recovery.decide(self.plan.policy.for_phase(name), failure, given_up=True))

    def _follow(self, where: dict[str, Any], verdict: recovery.Verdict) -> None:
        name, error = where["phase"], where["error"]
        if isinstance(verdict, recovery.Retry):
            self.add(ev.PhaseFailed, **where, next="retry")
            self._again(name, verdict)
        elif isinstance(verdict, recovery.Fallback):
            self.add(ev.PhaseFailed, **where, next="fallback")
            self.add(ev.PhaseFallback, phase=name, agent=verdict.agent)
        elif isinstance(verdict, recovery.RollBack) and self.plan.unknown is not None:
            told = f"Not rolled back, as nobody can say what there is to undo: {self.plan.unknown}"
            self._give_up(where, error.changed(message=f"{error.message}\n{told}"))
        elif isinstance(verdict, recovery.RollBack):
            undo = self._to_undo(name, verdict.to)
            self.add(ev.PhaseFailed, **where, next="rollback", to=verdict.to, compensations=undo)
        else:
            self._give_up(where, error)

    def _give_up(self, where: dict[str, Any], error: ErrorInfo) -> None:
        self.add(ev.PhaseFailed, **where, next="abort")
        self.add(ev.TaskError, error=error, phase=where["phase"])

    def _again(self, phase: str, verdict: recovery.Retry) -> None:
        self.add(
            ev.PhaseRetrying,
            phase=phase,
            attempt=verdict.attempt,
            maximum_attempts=verdict.maximum_attempts,
            delay_s=round(verdict.delay_s, 3),
            due_at=self.at + timedelta(seconds=verdict.delay_s),
        )

    def _wait_for_secret(self, ended: Ended, error: ErrorInfo) -> None:
        """A secret that is not there is a person's to mend: wait for them, then try again."""
        self.add(ev.PhaseFailed, phase=ended.phase.name, attempt=ended.phase.attempt, error=error, next="retry")
        self._again(ended.phase.name, recovery.Retry(ended.phase.attempt + 1, 0.0, None))
        self.pause("phasenb")

    # --- rollback --------------------------------------------------------------------------------------------------

    def _undo_next(self, worker: str) -> Running | None:
        """Start the next compensation of the open rollback, or close it."""
        rolling = self.history.rolling
        assert rolling is not None  # asked by the caller
        name = rolling.next
        if name is not None:
            attempt = self.state.phase_named(name).attempt + 1
            self.add(ev.PhaseStarted, phase=name, attempt=attempt, kind="compensation", worker=worker)
            return Running(self.state.phase_named(name), "compensation")
        self.add(
            ev.PhaseRolledBack,
            phase=rolling.phase,
            to=rolling.to,
            compensated=rolling.compensated,
            not_undone=rolling.not_undone,
        )
        if rolling.not_undone:
            why = zip(rolling.not_undone, rolling.problems, strict=True)
            told = ", ".join(f"{name} ({error.type}: {error.message})" for name, error in why)
            message = f"{rolling.error.message}\nNot undone, as the compensation failed: {told}"
            self.add(ev.TaskError, error=rolling.error.changed(message=message), phase=rolling.phase)
        return None

    def _to_undo(self, failed: str, to: str) -> tuple[str, ...]:
        """The phases from the failed one back to where work goes on that have a compensation."""
        phases = self.history.phases
        span = phases[phases.index(to) : phases.index(failed) + 1]
        return tuple(name for name in reversed(span) if name in self.plan.compensations)

    def _cut(self, error: ErrorInfo) -> ErrorInfo:
        """The error of a task that ends before its rollback is over says what stays as it is."""
        rolling = self.history.rolling
        left = [name for name in rolling.to_undo if name not in rolling.compensated] if rolling is not None else []
        return error.changed(message=f"{error.message}\nNot undone: {', '.join(left)}") if left else error

    def _end_cancelled(self, by: str) -> None:
        """As ``_cut``: a rollback that a cancel cuts short leaves something behind too."""
        rolling = self.history.rolling
        self.add(ev.TaskCancelled, by=by, error=None if rolling is None else self._cut(rolling.error))

    def _fail_undo(self, ended: Ended) -> None:
        error, name = ended.outcome.error or NO_REASON, ended.phase.name
        self._record(ended, ended.outcome.status)
        failures = self.history.undo_failures.get(name, 0) + 1
        failure = recovery.Failure(error, ended.phase.attempt, failures, roll=ended.roll)
        verdict = recovery.decide_undo(self.plan.policy.for_phase(name), failure)
        where = {"phase": name, "attempt": ended.phase.attempt, "kind": "compensation", "error": error}
        if isinstance(verdict, recovery.Retry):
            self.add(ev.PhaseFailed, **where, next="retry")
            self._again(name, verdict)
        else:
            self.add(ev.PhaseFailed, **where, next="abort")

    # --- gates and results -----------------------------------------------------------------------------------------

    def _ask(self, phase: Phase, values: Mapping[str, Json]) -> None:
        """Wait for a person before a phase, showing the output before it (the inputs' place is empty)."""
        before = self.history.phases.index(phase.name) - 1
        name = self.history.phases[before] if before >= 0 else None
        output = values.get(name) if name else None
        revision = self.history.revisions.get(name, 1) if name else 1
        self.add(ev.ApprovalRequested, phase=phase.name, output=output, revision=revision)

    def _record(self, ended: Ended, status: ResultStatus, error: ErrorInfo | None = None) -> PhaseResult:
        outcome, started = ended.outcome, ended.phase.started_at or self.at
        kept = status is ResultStatus.COMPLETE
        result = PhaseResult(
            phase=ended.phase.name,
            attempt=ended.phase.attempt,
            kind=ended.kind,
            status=status,
            started_at=started,
            ended_at=self.at,
            duration_s=seconds_between(started, self.at),
            output=outcome.output if kept else None,
            output_type=outcome.output_type if kept else None,
            output_bytes=outcome.output_bytes if kept else None,
            error=None if kept else error or outcome.error,
            worker=ended.worker,
            metrics=outcome.metrics,
            artifacts=outcome.artifacts,
            fallback=self.history.fallbacks.get(ended.phase.name) if ended.kind == "phase" else None,
            code=self.state.code,
        )
        self.results.append(result)
        return result


def forgiven(outcome: Outcome, history: History) -> bool:
    """Whether an attempt is made again as if nothing was: its host was frozen, and not too often in a row."""
    return frozen(outcome.status, outcome.error) and history.freezes < recovery.FREEZES


def counts(outcome: Outcome, history: History) -> bool:
    """Whether an attempt that ended so is a failure that a policy decides about."""
    if frozen(outcome.status, outcome.error):
        return not forgiven(outcome, history)
    return is_failure(outcome.status, outcome.error)
