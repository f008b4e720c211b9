"""The transitions of a task as data: the table, what an event's data must be, and which of several targets it means.

Rules: only ``core.task_schema`` applies these; nothing here changes a task. A check gives the reason to refuse an
event, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from phasenb.dto import events as ev
from phasenb.dto.phase import Phase, PhaseStatus
from phasenb.dto.task_state import State, TaskState

S, P = State, PhaseStatus
Targets = tuple[State, ...]
Table = Mapping[State | None, Mapping[str, Targets]]

_WAITS: dict[str, Targets] = {
    "task_recovered": (S.QUEUED,),
    "cancel_requested": (S.CANCELLING,),
    "task_error": (S.FAILED,),
}

# More than one target means that the event's data decides; ``CHOICES`` says how.
TRANSITIONS: Table = {
    None: {"task_created": (S.QUEUED,)},
    S.QUEUED: {
        **_WAITS,
        "phase_started": (S.RUNNING,),
        "phase_failed": (S.QUEUED,),
        "phase_fallback": (S.QUEUED,),
        "phase_rolled_back": (S.QUEUED,),
        "approval_requested": (S.AWAITING_APPROVAL,),
        "task_paused": (S.PAUSED,),
    },
    S.RUNNING: {
        **_WAITS,
        "phase_started": (S.RUNNING,),
        "phase_complete": (S.RUNNING,),
        "phase_failed": (S.RUNNING,),
        "phase_retrying": (S.RETRYING,),
        "phase_rolled_back": (S.RUNNING,),
        "phase_fallback": (S.RUNNING,),
        "approval_requested": (S.AWAITING_APPROVAL,),
        "task_paused": (S.PAUSED,),
        "task_complete": (S.COMPLETED,),
    },
    S.RETRYING: {
        **_WAITS,
        "task_recovered": (S.RETRYING,),
        "phase_started": (S.RUNNING,),
        "retry_given_up": (S.QUEUED,),
        "task_paused": (S.PAUSED,),
    },
    S.AWAITING_APPROVAL: {
        **_WAITS,
        "task_recovered": (S.AWAITING_APPROVAL,),
        "approval_given": (S.QUEUED,),
        "approval_denied": (S.QUEUED, S.CANCELLING),
        "task_paused": (S.PAUSED,),
    },
    S.PAUSED: {
        # The attempt that was running when the pause came finishes and counts; nothing new starts.
        **_WAITS,
        "task_recovered": (S.PAUSED,),
        "phase_complete": (S.PAUSED,),
        "phase_failed": (S.PAUSED,),
        "phase_retrying": (S.PAUSED,),
        "phase_fallback": (S.PAUSED,),
        "task_resumed": (S.RUNNING, S.RETRYING, S.AWAITING_APPROVAL, S.QUEUED),
        "task_complete": (S.COMPLETED,),
    },
    S.CANCELLING: {
        "task_recovered": (S.CANCELLING,),
        "task_cancelled": (S.CANCELLED,),
        "task_error": (S.FAILED,),
    },
    S.COMPLETED: {},
    S.FAILED: {"task_retried": (S.QUEUED,)},
    S.CANCELLED: {"task_retried": (S.QUEUED,)},
}

# A person's commands, and the event that each asks for: ``actions`` are those that the state allows.
COMMANDS: Mapping[str, str] = {
    "cancel": "cancel_requested",
    "pause": "task_paused",
    "resume": "task_resumed",
    "approve": "approval_given",
    "deny": "approval_denied",
    "retry": "task_retried",
    "give_up": "retry_given_up",
}
COMMAND_OF: Mapping[str, str] = {event_type: name for name, event_type in COMMANDS.items()}
ACTIONS: Mapping[State, tuple[str, ...]] = {
    state: tuple(name for name, event_type in COMMANDS.items() if event_type in TRANSITIONS[state]) for state in State
}
_STARTABLE = frozenset({P.PENDING, P.RETRYING, P.ROLLED_BACK})


# --- what the data of an event must be: a reason to refuse it, or None ---------------------------------------------


def next_phase(task: TaskState) -> Phase | None:
    """The first phase that is not complete: the only one that may start."""
    for phase in task.phases:
        if phase.status is not P.COMPLETE:
            return phase
    return None


def known(task: TaskState, name: str) -> Phase | None:
    for phase in task.phases:
        if phase.name == name:
            return phase
    return None


def _check_started(task: TaskState, event: ev.PhaseStarted) -> str | None:
    phase = known(task, event.phase)
    if phase is None:
        return f"there is no phase {event.phase}"
    if task.running is not None:
        return f"{task.running.name} is still running"
    if task.given_up is not None:
        return f"the retry of {task.given_up} was given up"
    if event.attempt != phase.attempt + 1:
        return f"the next attempt of {phase.name} is {phase.attempt + 1}, not {event.attempt}"
    if event.kind == "compensation":
        return None if task.rolling_back else "no rollback is open"
    if task.rolling_back:
        return "a rollback is open"
    expected = next_phase(task)
    if expected is None or expected.name != event.phase:
        return f"the next phase is {expected.name if expected else 'none'}, not {event.phase}"
    return None if phase.status in _STARTABLE else f"{phase.name} is {phase.status}"


def _check_failed(task: TaskState, event: ev.PhaseFailed) -> str | None:
    phase = known(task, event.phase)
    if not event.given_up:
        return _check_running(task, event)
    if phase is None or task.given_up != event.phase:
        return f"no retry of {event.phase} was given up"
    if event.next == "retry" or event.attempt != phase.attempt:
        return f"attempt {phase.attempt} of {phase.name} was given up, and is not tried again"
    return None


def _check_given_up(task: TaskState, event: ev.RetryGivenUp) -> str | None:
    phase = known(task, event.phase)
    return (
        None if phase is not None and phase.status is P.RETRYING else f"{event.phase} does not wait to be tried again"
    )


def _check_running(task: TaskState, event: ev.PhaseComplete | ev.PhaseFailed) -> str | None:
    running = task.running
    if running is None:
        return "no attempt is running"
    if (running.name, running.attempt) != (event.phase, event.attempt):
        return f"attempt {running.attempt} of {running.name} is running, not {event.attempt} of {event.phase}"
    return None


def _check_failed_phase(task: TaskState, event: ev.PhaseRetrying | ev.PhaseFallback) -> str | None:
    phase = known(task, event.phase)
    if phase is None or phase.status != P.FAILED:
        return f"{event.phase} has not failed"
    if isinstance(event, ev.PhaseRetrying) and event.attempt != phase.attempt + 1:
        return f"the next attempt of {phase.name} is {phase.attempt + 1}, not {event.attempt}"
    return None


def _check_rolled_back(task: TaskState, event: ev.PhaseRolledBack) -> str | None:
    if task.rolling_back != event.phase:
        return "no rollback of this phase is open"
    return None if known(task, event.to) else f"there is no phase {event.to}"


def _check_gate(task: TaskState, event: ev.ApprovalRequested) -> str | None:
    expected = next_phase(task)
    if task.running is not None or expected is None or expected.name != event.phase:
        return f"{event.phase} is not about to start"
    return None


def _check_answer(task: TaskState, event: ev.ApprovalGiven | ev.ApprovalDenied) -> str | None:
    return None if task.approval and task.approval.phase == event.phase else f"{event.phase} waits for no approval"


def _check_complete(task: TaskState, event: ev.TaskComplete) -> str | None:
    unfinished = next_phase(task)
    return f"{unfinished.name} is {unfinished.status}" if unfinished else None


def _check_retried(task: TaskState, event: ev.TaskRetried) -> str | None:
    names = [phase.name for phase in task.phases]
    if event.from_phase not in names:
        return f"there is no phase {event.from_phase}"
    before = task.phases[: names.index(event.from_phase)]
    unfinished = next((phase.name for phase in before if phase.status != P.COMPLETE), None)
    return f"{unfinished} comes first and is not complete" if unfinished else None


CHECKS: dict[str, Callable[[TaskState, Any], str | None]] = {
    "phase_started": _check_started,
    "phase_complete": _check_running,
    "phase_failed": _check_failed,
    "retry_given_up": _check_given_up,
    "phase_retrying": _check_failed_phase,
    "phase_fallback": _check_failed_phase,
    "phase_rolled_back": _check_rolled_back,
    "approval_requested": _check_gate,
    "approval_given": _check_answer,
    "approval_denied": _check_answer,
    "task_complete": _check_complete,
    "task_retried": _check_retried,
}


# --- which of several targets ----------------------------------------------------------------------------------------


def _resumed_to(task: TaskState, event: ev.TaskResumed) -> State:
    if task.running is not None:
        return S.RUNNING
    if task.retry_at is not None:
        return S.RETRYING
    return S.AWAITING_APPROVAL if task.approval else S.QUEUED


def _denied_to(task: TaskState, event: ev.ApprovalDenied) -> State:
    return S.QUEUED if event.redo else S.CANCELLING


CHOICES: dict[str, Callable[[TaskState, Any], State]] = {"task_resumed": _resumed_to, "approval_denied": _denied_to}
