"""A task's life as plain lines: what is worth a line between one state of a task and the next, and when it was. Pure.

Rules: a phase's start, end, failure and next try, a gate, a pause and the task's end have a line each; progress has one
for each quarter. Nothing is said twice. A line has the time of what it tells, which may be long ago for who comes late.
"""

from __future__ import annotations

from datetime import datetime

from phasenb.display import words
from phasenb.dto.phase import Phase, PhaseStatus
from phasenb.dto.task_state import State, TaskState

_QUARTER = 25


Line = tuple[datetime | None, str]
"""When (None: just now), and what."""


def told(before: TaskState | None, task: TaskState) -> list[Line]:
    """The lines that lead from ``before`` (None: nothing was told yet) to ``task``."""
    phases: list[Line] = []
    known = {phase.name: phase for phase in before.phases} if before else {}
    for phase in task.phases:
        phases += _of_phase(known.get(phase.name), phase, task)
    changed = before is None or before.state is not task.state or before.approval != task.approval
    at = task.created_at if task.state is State.QUEUED else task.updated_at
    state: list[Line] = [(at, line) for line in _of_state(before, task)] if changed else []
    return [*state, *phases] if before is None and not task.state.terminal else [*phases, *state]


def waits(task: TaskState) -> str | None:
    """What a person is needed for, and what they type."""
    end = words.short(task.task_id)
    if task.state is State.AWAITING_APPROVAL and task.approval is not None:
        answer = f'`phasenb approve {end}`, or `phasenb deny {end} "why"`'
        return f"waits for approval before {task.approval.phase}: {answer}"
    return f"paused: `phasenb resume {end}` goes on" if task.state is State.PAUSED else None


def _of_phase(before: Phase | None, phase: Phase, task: TaskState) -> list[Line]:
    status = before.status if before else PhaseStatus.PENDING
    tried = before.attempt if before else 0
    lines: list[Line] = []
    if phase.attempt > tried or (phase.status is PhaseStatus.RUNNING and status is not PhaseStatus.RUNNING):
        lines.append((phase.started_at, _joined(phase.name, "started", words.attempt(phase), words.instead(phase))))
        quarter = 0
    else:
        quarter = int(before.percent // _QUARTER) if before else 0
    if phase.status is PhaseStatus.RUNNING and quarter < int(phase.percent // _QUARTER) < 4:
        lines.append((None, _joined(phase.name, words.percent(phase.percent), words.plain(task.message or ""))))
    if phase.status is not status or phase.attempt > tried:
        known = before if phase.attempt == tried else None
        lines += [(phase.ended_at or task.updated_at, line) for line in _of_status(known, phase, task)]
    return lines


def _of_status(known: Phase | None, phase: Phase, task: TaskState) -> list[str]:
    """``known``: this attempt, as it was told before."""
    error = task.error.error if task.error is not None and task.error.phase == phase.name else None
    why = f"{error.type}: {words.plain(error.message)}".removesuffix(": ") if error is not None else None
    if phase.status is PhaseStatus.COMPLETE:
        took = words.elapsed(phase.started_at, phase.ended_at, task.updated_at)
        return [_joined(phase.name, f"complete in {took}", words.plain(phase.output_preview or ""))]
    if phase.status is PhaseStatus.RETRYING:
        failed = () if known is not None and known.status is PhaseStatus.FAILED else ("failed", why)
        if error is not None and error.missing_secret:  # it is paused: the time of its next attempt is a person's
            return [_joined(phase.name, *failed)] if failed else []
        return [_joined(phase.name, *failed, words.activity(task))]
    if phase.status is PhaseStatus.FAILED:
        return [_joined(phase.name, "failed", why)]
    return [_joined(phase.name, "rolled back")] if phase.status is PhaseStatus.ROLLED_BACK else []


def _of_state(before: TaskState | None, task: TaskState) -> list[str]:
    named = f"{words.plain(task.name)} {words.short(task.task_id)}"
    if task.state is State.PAUSED or (task.state is State.AWAITING_APPROVAL and task.approval is not None):
        return [f"{named}: {waits(task)}"]
    if task.state.terminal:
        took = words.elapsed(task.started_at, task.ended_at, task.updated_at)
        trouble = words.trouble(task) if task.state is State.CANCELLED else None
        told = _joined(named, f"{words.STATE_WORDS[task.state]}{f' in {took}' if took else ''}", words.activity(task))
        return [told, *([f"{named}: {words.plain(trouble.error.message)}"] if trouble is not None else [])]
    if before is None or task.state in (State.QUEUED, State.CANCELLING):
        return [f"{named}: {words.STATE_WORDS[task.state]}"]
    return [f"{named}: goes on"] if before.state in (State.PAUSED, State.AWAITING_APPROVAL) else []


def _joined(name: str, *facts: str | None) -> str:
    return f"{name}: " + ", ".join(fact for fact in facts if fact)
