"""TaskSchema: which event may follow in which state, and what a task is after it.

Rules, attacked by a stateful property test (tests/core/test_task_schema.py):

* ``apply(task, event) -> task`` is pure; a refused event raises IllegalTransition and changes nothing.
* Transitions are the table of core.transitions; the diagram in docs/states.md is generated from it.
* seq is gapless from 1; phases run in order; at most one attempt runs; attempt numbers count up and are never used
  twice; a result counts only for the running attempt; a terminal task only knows ``task_retried``.
* A snapshot is exactly ``fold(all events)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import orjson

from phasenb.core.transitions import ACTIONS, CHECKS, CHOICES, COMMAND_OF, TRANSITIONS, Table, known
from phasenb.dto import events as ev
from phasenb.dto.phase import Phase, PhaseStatus
from phasenb.dto.phase_result import ErrorInfo
from phasenb.dto.task_state import Approval, FailureNote, Failures, State, Stopped, TaskFailure, TaskState
from phasenb.dto.values import Json, as_reference
from phasenb.errors import IllegalTransition

P = PhaseStatus
_RECENT = 5
_SHOWN = 200  # characters of a line for people
_LIVE: dict[str, Any] = {"done": None, "total": None, "bar": 0, "line": None}  # progress of the attempt that runs
_FOLD, _NO_FOLD = "newest fold", (None, None)


# --- what the event changes, beside the state ------------------------------------------------------------------------


def _with_phase(task: TaskState, name: str, **change: Any) -> tuple[Phase, ...]:
    return tuple([phase.changed(**change) if phase.name == name else phase for phase in task.phases])


def _reset_from(task: TaskState, first: str, status: PhaseStatus) -> tuple[Phase, ...]:
    """Phases from ``first`` on start over; attempt numbers go on, since they are never used twice."""
    names = [phase.name for phase in task.phases]
    clean = {
        "status": status,
        "percent": 0.0,
        "started_at": None,
        "ended_at": None,
        "output_preview": None,
        "fallback": None,
        "maximum_attempts": None,
    }
    return tuple(
        phase.changed(**({**clean, "set_aside": phase.attempt} if phase.attempt else {}))
        if index >= names.index(first)
        else phase
        for index, phase in enumerate(task.phases)
    )


def _stop_running(task: TaskState, status: PhaseStatus, ended_at: Any) -> tuple[Phase, ...]:
    return tuple(
        phase.changed(status=status, ended_at=ended_at) if phase.status in (P.RUNNING, P.RETRYING) else phase
        for phase in task.phases
    )


def preview(value: Json) -> str | None:
    """A line for people, at most 200 characters: an inline value's JSON, a reference's own preview."""
    reference = as_reference(value)
    if reference is None:
        text = orjson.dumps(value).decode(errors="replace")
    else:
        text = reference.preview or f"{reference.type} ({reference.bytes:,} bytes)"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _fold_started(task: TaskState, event: ev.PhaseStarted) -> dict[str, Any]:
    phases = _with_phase(
        task, event.phase, status=P.RUNNING, attempt=event.attempt, percent=0.0, started_at=event.at, ended_at=None
    )
    return {"phases": phases, "retry_at": None, "started_at": task.started_at or event.at, "message": None}


def _fold_completed(task: TaskState, event: ev.PhaseComplete) -> dict[str, Any]:
    status = P.ROLLED_BACK if event.kind == "compensation" else P.COMPLETE
    shown = preview(event.result.output)
    phases = _with_phase(task, event.phase, status=status, percent=100.0, ended_at=event.at, output_preview=shown)
    return {"phases": phases, "message": None, "eta_s": None}


def _fold_failed(task: TaskState, event: ev.PhaseFailed) -> dict[str, Any]:
    change: dict[str, Any] = {
        "phases": _with_phase(task, event.phase, status=P.FAILED, ended_at=event.at),
        "error": TaskFailure(phase=event.phase, attempt=event.attempt, error=event.error),
        "eta_s": None,
        "given_up": None,
    }
    if not event.given_up:
        change["failures"] = _failures(task.failures, event)
    return {**change, "rolling_back": event.phase} if event.next == "rollback" else change


def _failures(before: Failures | None, event: ev.PhaseFailed) -> Failures:
    text = event.error.message.partition("\n")[0]
    note = FailureNote(
        phase=event.phase,
        attempt=event.attempt,
        type=event.error.type,
        message=text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…",
        at=event.at,
    )
    return Failures(count=before.count + 1 if before else 1, first=before.first if before else note, newest=note)


def _fold_given_up(task: TaskState, event: ev.RetryGivenUp) -> dict[str, Any]:
    phases = _with_phase(task, event.phase, status=P.FAILED)
    return {"phases": phases, "retry_at": None, "given_up": event.phase}


def _fold_retrying(task: TaskState, event: ev.PhaseRetrying) -> dict[str, Any]:
    phases = _with_phase(task, event.phase, status=P.RETRYING, maximum_attempts=event.maximum_attempts)
    return {"phases": phases, "retry_at": event.due_at}


def _fold_recovered(task: TaskState, event: ev.TaskRecovered) -> dict[str, Any]:
    phases = tuple(
        phase.changed(status=P.PENDING, percent=0.0) if phase.status == P.RUNNING else phase for phase in task.phases
    )
    return {"phases": phases, "by_host": event.host}


def _failure(task: TaskState, phase: str | None, error: ErrorInfo) -> TaskFailure:
    attempt = task.phase_named(phase).attempt if phase and known(task, phase) else None
    return TaskFailure(phase=phase, attempt=attempt, error=error)


def _fold_error(task: TaskState, event: ev.TaskError) -> dict[str, Any]:
    return {
        "phases": _stop_running(task, P.FAILED, event.at),
        "error": _failure(task, event.phase, event.error),
        "ended_at": event.at,
        "stopped": None,
        "retry_at": None,
        "given_up": None,
        "approval": None,
        "eta_s": None,
    }


def _fold_cancelled(task: TaskState, event: ev.TaskCancelled) -> dict[str, Any]:
    phases = _stop_running(task, P.FAILED, event.at)
    stopped = task.stopped or Stopped(by=event.by)  # who asked for it, or denied it, is known already
    change = {"phases": phases, "ended_at": event.at, "retry_at": None, "approval": None, "eta_s": None}
    change["given_up"] = None
    if event.error is not None and task.rolling_back is not None:
        change["error"] = _failure(task, task.rolling_back, event.error)
    return {**change, "stopped": stopped}


def _fold_given(task: TaskState, event: ev.ApprovalGiven) -> dict[str, Any]:
    before = [phase.name for phase in task.phases].index(event.phase) - 1
    if event.revision is None or before < 0:  # before the first phase there is no output to be edited
        return {"approval": None}
    phases = _with_phase(task, task.phases[before].name, output_preview=preview(event.edited))
    return {"approval": None, "phases": phases}


def _fold_denied(task: TaskState, event: ev.ApprovalDenied) -> dict[str, Any]:
    if event.redo:
        return {"approval": None, "phases": _reset_from(task, event.redo, P.PENDING)}
    return {"approval": None, "stopped": Stopped(by=event.by, phase=event.phase, reason=event.reason)}


def _fold_stopped(task: TaskState, event: ev.TaskPaused | ev.CancelRequested) -> dict[str, Any]:
    return {"stopped": Stopped(by=event.by)}


_FOLDS: dict[str, Callable[[TaskState, Any], dict[str, Any]]] = {
    "phase_started": _fold_started,
    "phase_complete": _fold_completed,
    "phase_failed": _fold_failed,
    "phase_retrying": _fold_retrying,
    "retry_given_up": _fold_given_up,
    "phase_rolled_back": lambda task, event: {
        "rolling_back": None,
        "phases": _reset_from(task, event.to, P.ROLLED_BACK),
    },
    "phase_fallback": lambda task, event: {
        "phases": _with_phase(task, event.phase, status=P.PENDING, fallback=event.agent, maximum_attempts=None)
    },
    "approval_requested": lambda task, event: {
        "approval": Approval(phase=event.phase, revision=event.revision, seq=event.seq, output=event.output)
    },
    "approval_given": _fold_given,
    "approval_denied": _fold_denied,
    "task_recovered": _fold_recovered,
    "task_paused": _fold_stopped,
    "task_resumed": lambda task, event: {"stopped": None},
    "cancel_requested": _fold_stopped,
    "task_complete": lambda task, event: {"ended_at": event.at, "error": None, "eta_s": None, "stopped": None},
    "task_error": _fold_error,
    "task_cancelled": _fold_cancelled,
    "task_retried": lambda task, event: {
        "phases": _reset_from(task, event.from_phase, P.PENDING),
        "error": None,
        "failures": None,
        "ended_at": None,
        "rolling_back": None,
        "stopped": None,
        "code": event.code or task.code,
    },
}


def _created(event: ev.TaskCreated) -> TaskState:
    return TaskState(
        task_id=event.task_id,
        session=event.session,
        name=event.name,
        agent=event.agent,
        phase=event.phases[0],
        phases=tuple(Phase(name=name) for name in event.phases),
        created_at=event.at,
        updated_at=event.at,
        inputs=event.inputs,
        labels=event.labels,
        key=event.key,
        notebook=event.notebook,
        secrets=event.secrets,
        parent=event.parent,
        code=event.code,
        **_derived(State.QUEUED, event, ()),
    )


def _derived(state: State, event: ev.Event, recent: tuple[str, ...]) -> dict[str, Any]:
    return {
        "state": state,
        "seq": event.seq,
        "recent": (*recent, f"{event.seq} {event.type}")[-_RECENT:],
        "actions": ACTIONS[state],
        "queue": None,  # laid over a snapshot by its host; once something happened it is not true any more
    }


def _progress(phases: tuple[Phase, ...]) -> tuple[str, float]:
    """(current phase, percent of the task): phases weigh the same."""
    current, total = None, 0.0
    for phase in phases:
        total += phase.percent
        if current is None and phase.status is not P.COMPLETE:
            current = phase.name
    return current or phases[-1].name, total / len(phases)


class TaskSchema:
    """The table made executable. Stateless: one instance, ``SCHEMA``, serves everybody."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def apply(self, task: TaskState | None, event: ev.Event) -> TaskState:
        """The task after ``event``. Raises IllegalTransition; the given task is never changed.

        The answer stays with the event: where host and client share a process, the client asks the same again.
        """
        before, after = event.__dict__.get(_FOLD, _NO_FOLD)
        if after is not None and before is task:
            return cast("TaskState", after)
        after = self._applied(task, event)
        event.__dict__[_FOLD] = (task, after)
        return after

    def _applied(self, task: TaskState | None, event: ev.Event) -> TaskState:
        state = task.state if task else None
        targets = self.table[state].get(event.type)
        seq = task.seq if task else 0
        if targets is None:
            raise self._refusal(task, event, "")
        if event.seq != seq + 1:
            raise self._refusal(task, event, f"its seq is {event.seq}, the next one is {seq + 1}")
        if task is None:
            assert isinstance(event, ev.TaskCreated)  # the table knows no other first event
            return _created(event)
        if event.task_id != task.task_id:
            raise self._refusal(task, event, f"it belongs to task {event.task_id}")
        check = CHECKS.get(event.type)
        problem = check(task, event) if check else None
        if problem:
            raise self._refusal(task, event, problem)
        target = targets[0] if len(targets) == 1 else CHOICES[event.type](task, event)
        change = _FOLDS[event.type](task, event) if event.type in _FOLDS else {}
        if "phases" in change:
            change["phase"], change["percent"] = _progress(change["phases"])
            change.update(_LIVE)
        change["updated_at"] = event.at
        return task.changed(**change, **_derived(target, event, task.recent))

    def fold(self, events: Iterable[ev.Event], task: TaskState | None = None) -> TaskState | None:
        """``apply`` over events, in order; None only for no events at all."""
        for event in events:
            task = self.apply(task, event)
        return task

    def allows(self, state: State, event_type: str) -> bool:
        return event_type in self.table[state]

    def diagram(self) -> str:
        """The table as a Mermaid state diagram; docs/states.md holds it, and a test compares."""
        arrows: dict[tuple[str, str], list[str]] = {}
        for state, row in self.table.items():
            for event_type, targets in row.items():
                for target in targets:
                    arrows.setdefault((state or "[*]", target), []).append(event_type)
        lines = [f"    {source} --> {target}: {', '.join(names)}" for (source, target), names in arrows.items()]
        ends = [f"    {state} --> [*]" for state in State if state.terminal]
        return "\n".join(["stateDiagram-v2", *lines, *ends])

    @staticmethod
    def refusal(task: TaskState, event_type: str, reason: str) -> IllegalTransition:
        """What is raised where the task's state does not allow an event."""
        asked = COMMAND_OF.get(event_type, event_type)
        return IllegalTransition(task.task_id, task.state, asked, reason, list(task.recent))

    def _refusal(self, task: TaskState | None, event: ev.Event, reason: str) -> IllegalTransition:
        return self.refusal(task, event.type, reason) if task else IllegalTransition(event.task_id, "", event.type)


SCHEMA = TaskSchema(TRANSITIONS)
apply = SCHEMA.apply
fold = SCHEMA.fold


def with_update(task: TaskState, update: ev.PhaseUpdate) -> TaskState:
    """``task`` with live progress laid over it; unchanged where the update is not of the running attempt.

    Percent never falls within an attempt, and a bar of it: an update that says less keeps the higher one.
    """
    running = task.running
    if running is None or (running.name, running.attempt) != (update.phase, update.attempt):
        return task
    before = running.percent if update.bar == task.bar else 0.0
    percent = max(before, min(update.percent, 100.0))
    phases = _with_phase(task, running.name, percent=percent)
    current, total = _progress(phases)
    live = {name: getattr(update, name) for name in ("message", "eta_s", *_LIVE)}
    return task.changed(phases=phases, phase=current, percent=total, **live)
