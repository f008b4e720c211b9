"""A task as plain text: ``text/plain`` of its display, and the one line that a terminal gets. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from phasenb.display import words
from phasenb.dto.phase import Phase, PhaseStatus
from phasenb.dto.phase_result import ErrorInfo
from phasenb.dto.task_state import State, TaskState

_MARKS = {
    PhaseStatus.PENDING: " ",
    PhaseStatus.RUNNING: ">",
    PhaseStatus.RETRYING: "~",
    PhaseStatus.COMPLETE: "+",
    PhaseStatus.FAILED: "x",
    PhaseStatus.ROLLED_BACK: "<",
}


def task_line(task: TaskState) -> str:
    """``"penguins 01K...: running, 12 %"``."""
    told = words.STATE_WORDS[task.state]
    if not task.state.terminal:
        told = f"{told}, {words.share(task)}"
    return f"{task.name} {task.task_id}: {told}"


def failure_line(task: TaskState) -> str | None:
    """``"fit failed, attempt 1: KeyError: 'x'; attempt 2 of 3, next at 17:13:36"``; None while nothing failed."""
    failure = words.trouble(task)
    if failure is None:
        return None
    where = f"{failure.phase} failed, attempt {failure.attempt}" if failure.phase else "failed"
    told = f"{where}: {'; '.join(line.strip() for line in _error_lines(failure.error))}"
    follows = words.activity(task) if task.state is State.RETRYING else None
    return f"{told}; {follows}" if follows else told


def task_text(
    task: TaskState, *, now: datetime, activity: str | None = None, notes: Sequence[str] = (), inputs: bool = True
) -> str:
    """A few lines: the task, its inputs, its phases, its error. ``activity``: what it waits for, in other words than
    Python's.
    """
    lines = [f"{task.name} {task.task_id}: {words.as_of(task, now)}"]
    given = words.inputs_line(task) if inputs else None
    lines += [f"  {given}"] if given else []
    width = max((len(phase.name) for phase in task.phases), default=0)
    lines += [_phase_line(task, phase, width, now) for phase in task.phases]
    activity = activity or words.activity(task)
    if activity:
        lines.append(f"  {activity}")
    failure = words.trouble(task)
    if failure is not None:
        lines += _error_lines(failure.error)
    lines += [f"  {note}" for note in notes]
    return "\n".join(lines)


def _phase_line(task: TaskState, phase: Phase, width: int, now: datetime) -> str:
    took = words.elapsed(phase.started_at, phase.ended_at, now) if phase.attempt else None
    facts = [words.progress(task, phase).rjust(5) if phase.attempt else "", took, words.tried(task, phase)]
    told = "  ".join(fact for fact in facts if fact)
    return f"  [{_MARKS[phase.status]}] {phase.name.ljust(width)}  {told}".rstrip()


def _error_lines(error: ErrorInfo) -> list[str]:
    message = words.plain(error.message).replace("\n", "\n  ")
    lines = [f"  {error.type}: {message}" if message else f"  {error.type}"]
    own = words.own_line(error.traceback)
    if own is not None:
        lines.append(f"    {own.where}: {own.code}" if own.code else f"    {own.where}")
    return lines
