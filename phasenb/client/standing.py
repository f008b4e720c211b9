"""A task that somebody waits for and that does not end: what to tell them, or to raise instead. Pure."""

from __future__ import annotations

from numbers import Real

from phasenb.display import words
from phasenb.display.text import failure_line
from phasenb.dto.task_state import State, TaskState
from phasenb.errors import ApprovalNeeded, NotInTime, TaskPaused, WrongValue


def check_timeout(timeout: object) -> None:
    """Raises WrongValue for what is no number of seconds."""
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, Real)):
        raise WrongValue(f"timeout={timeout!r:.40} is no number of seconds: write timeout=60, or none to wait on")


def not_in_time(task: TaskState, timeout_s: float) -> NotInTime:
    """The error for who did not want to wait longer."""
    about = failure_line(task) or words.activity(task)
    return NotInTime(task.task_id, words.STATE_WORDS[task.state], timeout_s, about)


def stopped_waiting(task: TaskState, *, embedded: bool) -> str:
    """For who pressed Ctrl-C, or Stop. ``embedded``: it runs in this very process."""
    until = ", as long as this process does" if embedded else ""
    return f"the waiting was stopped; {words.plain(task.name)} {task.task_id} goes on{until}: task.cancel() ends it"


def needs(task: TaskState) -> ApprovalNeeded | TaskPaused:
    """The error for who does not want to wait for a person."""
    if task.state is State.AWAITING_APPROVAL and task.approval is not None:
        return ApprovalNeeded(task.task_id, task.approval.phase)
    error = task.error.error if task.error is not None else None
    missing = error.message if error is not None and error.missing_secret else None
    return TaskPaused(task.task_id, task.stopped.by if task.stopped is not None else None, missing)


def told(task: TaskState, *, embedded: bool) -> str:
    """One line: why it stands still, and how it goes on. ``embedded``: its host is this process, which waits."""
    command = "approve" if task.state is State.AWAITING_APPROVAL else "resume"
    else_where = f"in a terminal: `phasenb {command} {words.short(task.task_id)}`"
    here = "Ctrl-C ends this waiting, not the task"
    return f"{words.plain(task.name)} {task.task_id}: {words.activity(task)} ({here if embedded else else_where})"
