"""What a person reads of a task, as words: durations, percents, states, the line of theirs that failed.

Pure. Numbers are as coarse as they are of use, so that a display which shows them seldom changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from math import ceil

import orjson

from phasenb.dto.phase import Phase, PhaseStatus
from phasenb.dto.task_state import State, TaskFailure, TaskState
from phasenb.dto.values import Json, as_reference

STATE_WORDS: dict[State, str] = {
    State.QUEUED: "queued",
    State.RUNNING: "running",
    State.RETRYING: "waiting to try again",
    State.AWAITING_APPROVAL: "waiting for approval",
    State.PAUSED: "paused",
    State.CANCELLING: "cancelling",
    State.COMPLETED: "completed",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
}


FEW_INPUTS = 3
LONG_INPUT = 2_000  # characters of an input that is shown at length
_LONGEST = 2_000
_INPUT_CHARACTERS = 40
_TIMES = " \N{MULTIPLICATION SIGN} "
_TENTH = Decimal("0.1")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# ECMA-48 control sequences (colours, cursor) and the characters that are none: a page shows boxes for them.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\-_]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """A task's own text as it can be shown: no control or direction characters, and not without end."""
    shown = printable(text)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def printable(text: str) -> str:
    """Without control and direction characters."""
    return _CONTROL.sub("", text)


def short(task_id: str) -> str:
    """The end of an id, which commands take for it: its beginning is a time, and much the same for tasks of one day."""
    return task_id[-8:]


def percent(value: float) -> str:
    """``"12 %"``; never 100 before it is."""
    return f"{min(int(value), 99) if value < 100 else 100} %"


def duration(seconds: float) -> str:
    """``"0.4 s"``, ``"12 s"``, ``"3 min 20 s"``, ``"2 h 5 min"``."""
    if seconds < 10:
        return f"{Decimal(max(0.0, seconds)).quantize(_TENTH, ROUND_HALF_UP)} s"  # as JavaScript's toFixed rounds
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def whole(seconds: float) -> str:
    """As ``duration``, in whole seconds: of what goes on, where a tenth would only flicker."""
    return duration(max(0, int(seconds))).replace(".0 s", " s")


def elapsed(start: datetime | None, end: datetime | None, now: datetime) -> str | None:
    """How long it took, or takes so far in whole seconds; None where it has not begun."""
    if start is None:
        return None
    begun = _milliseconds(start)
    return whole((_milliseconds(now) - begun) / 1000) if end is None else duration((_milliseconds(end) - begun) / 1000)


def _milliseconds(at: datetime) -> int:
    """Since the epoch, whole ones: all that a page knows of a time."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def clock(at: datetime) -> str:
    """The local time of day."""
    return at.astimezone().strftime("%H:%M:%S")


def date_and_clock(at: datetime) -> str:
    """``"2026-11-25 14:03:12"``: a copy is read on any day."""
    return f"{at.astimezone():%Y-%m-%d} {clock(at)}"


def as_of(task: TaskState, now: datetime) -> str:
    """``"as of 2026-11-25 14:03:12: running, 12 %"``, ``"completed 2026-11-25 14:05:31"``: what a saved copy of a
    display can honestly say.
    """
    if task.state.terminal:
        return f"{STATE_WORDS[task.state]} {date_and_clock(task.ended_at or task.updated_at)}"
    return f"as of {date_and_clock(now)}: {STATE_WORDS[task.state]}, {share(task)}"


def progress(task: TaskState, phase: Phase) -> str:
    """How far a running phase is: ``"12 %"``, or without a total ``"1,204 so far"``."""
    return f"{task.done:,.0f} so far" if task.done is not None and counts(task, phase) else percent(phase.percent)


def share(task: TaskState) -> str:
    """As ``progress``, of the whole task: a count only where nothing else is there to be told."""
    alone = task.phases[0] if len(task.phases) == 1 else None
    return percent(task.percent) if alone is None else progress(task, alone.changed(percent=task.percent))


def counts(task: TaskState, phase: Phase) -> bool:
    """Whether all that is known of a running phase is how many steps it has made: nobody knows of how many."""
    counted = task.done is not None and not task.total and not phase.percent
    return counted and task.running is not None and task.running.name == phase.name


def attempt(phase: Phase) -> str | None:
    """``"attempt 2"``, and ``"attempt 2 of 3"`` while it is waited for: only a failure that was just judged says how
    many there can be. None for a first attempt, which is nothing to speak of.
    """
    if phase.status is PhaseStatus.RETRYING:
        of = f" of {phase.maximum_attempts}" if phase.maximum_attempts else ""
        return f"attempt {phase.attempt + 1}{of}"
    return None if phase.attempt < 2 else f"attempt {phase.attempt}"


def instead(phase: Phase) -> str | None:
    """What runs in the place of a phase's own function."""
    if phase.fallback is None:
        return None
    return "fallback" if phase.fallback == "own" else f"fallback {phase.fallback}"


def tried(task: TaskState, phase: Phase) -> str | None:
    """``"attempt 2 · fallback"``: which attempt it is, why there is one more where nothing failed, and what runs. While
    a phase waits to be tried again, ``activity`` says which attempt comes.
    """
    which = attempt(phase)
    if task.state is State.RETRYING and phase.status is PhaseStatus.RETRYING:
        which = None
    elif _interrupted(task, phase):
        which = f"{which}, as the server or its machine stopped in attempt {phase.attempt - 1}"
    return " · ".join(each for each in (which, instead(phase)) if each) or None


def _interrupted(task: TaskState, phase: Phase) -> bool:
    """Whether the attempt before the one that runs was lost with its host, as far as the newest events tell."""
    if phase.status is not PhaseStatus.RUNNING or phase.attempt < 2:
        return False
    newest = task.failures.newest if task.failures is not None else None
    if newest is not None and (newest.phase, newest.attempt) == (phase.name, phase.attempt - 1):
        return False  # it failed: its host was lost while the next attempt waited
    types = [each.split()[1] for each in task.recent]
    started = max((place for place, kind in enumerate(types) if kind == "phase_started"), default=0)
    return types[max(0, started - 2) : started] == ["phase_started", "task_recovered"]


def in_line(position: int) -> str:
    """A place in the queue, as "4th in line"."""
    if position == 1:
        return "Next in line"
    teens = position % 100 in (11, 12, 13)
    ending = "th" if teens else {1: "st", 2: "nd", 3: "rd"}.get(position % 10, "th")
    return f"{position:,}{ending} in line"


def activity(task: TaskState, now: datetime | None = None) -> str | None:
    """What it is doing, or waits for. ``now``: for a display that goes on; without it the time of day is told."""
    if task.state is State.QUEUED and task.queue is not None:
        return f"{task.queue.reason}. {in_line(task.queue.position)}."
    if task.state is State.RETRYING and task.retry_at is not None:
        return _retrying(task, task.retry_at, now)
    if task.state is State.AWAITING_APPROVAL and task.approval is not None:
        return f'waits for approval before {task.approval.phase}: task.approve() or task.deny("why")'
    if task.state is State.PAUSED:
        return _paused(task)
    if task.state is State.CANCELLING:
        return "cancelling: the running attempt is being stopped"
    if task.state is State.CANCELLED:
        return _stopped(task)
    if task.rolling_back is not None and task.running is not None:
        undoing = f"undoing {task.running.name}, as {task.rolling_back} failed"
        return f"{undoing}: {plain(task.message)}" if task.message else undoing
    return None if task.state.terminal or not task.message else plain(task.message)


def inputs(task: TaskState, longest: int = _INPUT_CHARACTERS) -> list[str]:
    """``["path=x.csv", "alpha=0.1"]``: each on one line; of what is no JSON, what it is."""
    return [f"{plain(name)}={_value(value, longest)}" for name, value in task.inputs.items()]


def starts_with_inputs(task: TaskState) -> bool:
    """Whether a gate before the first phase is open: the inputs are what there is to approve."""
    return task.approval is not None and task.approval.phase == task.phases[0].name


def inputs_line(task: TaskState) -> str | None:
    """``"path=x.csv, alpha=0.1, depth=3, +2 more"``; None where it has none."""
    all_ = inputs(task)
    more = [f"+{len(all_) - FEW_INPUTS} more"] if len(all_) > FEW_INPUTS else []
    return ", ".join([*all_[:FEW_INPUTS], *more]) or None


def inputs_behind(task: TaskState) -> list[str]:
    """What ``inputs_line`` cuts or leaves out, at length."""
    pairs = enumerate(zip(inputs(task), inputs(task, LONG_INPUT), strict=True))
    return [whole for place, (line, whole) in pairs if place >= FEW_INPUTS or line != whole]


def _value(value: Json, longest: int) -> str:
    reference = as_reference(value)
    if reference is not None:
        text = f"{reference.type} {_TIMES.join(map(str, reference.shape or ()))}"
    else:
        text = value if isinstance(value, str) else orjson.dumps(value).decode(errors="replace")
    line = " ".join(printable(text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def trouble(task: TaskState) -> TaskFailure | None:
    """The newest failure, unless it is history: its phase is complete by now, or a cancel ended the task (unless in
    the middle of a rollback, of which something stays undone).
    """
    failure = task.error
    if failure is None or task.state is State.FAILED:
        return failure
    if task.state is State.CANCELLED:
        return failure if task.rolling_back is not None else None
    return (
        None if failure.phase in {each.name for each in task.phases if each.status is PhaseStatus.COMPLETE} else failure
    )


def _retrying(task: TaskState, due: datetime, now: datetime | None) -> str:
    """``"attempt 2 of 5, next in 8 s"``."""
    waits = next((phase for phase in task.phases if phase.status is PhaseStatus.RETRYING), None)
    told = (attempt(waits) if waits is not None else None) or "next attempt"
    if now is None:
        return f"{told}, next at {clock(due)}"
    left = ceil((due - now) / timedelta(seconds=1))  # a countdown that ends at 0 would stand there for a second
    return f"{told}, next in {whole(left)}" if left > 0 else f"{told}, about to start"


def _paused(task: TaskState) -> str:
    failure = trouble(task)
    error = failure.error if failure is not None else None
    if error is not None and error.missing_secret:
        return f"paused, as a secret is missing: {plain(error.message)}; task.resume() tries again"
    running = f"; {task.running.name} finishes first" if task.running is not None else ""
    return f"paused{_by(task)}: task.resume() goes on{running}"


def _stopped(task: TaskState) -> str | None:
    """``"denied before planning by ada: too dear"``, ``"cancelled by ada"``."""
    if task.stopped is None:
        return None
    what = f"denied before {task.stopped.phase}" if task.stopped.phase is not None else "cancelled"
    return f"{what}{_by(task)}" + (f": {plain(task.stopped.reason)}" if task.stopped.reason else "")


def _by(task: TaskState) -> str:
    return f" by {plain(task.stopped.by)}" if task.stopped is not None else ""


@dataclass(frozen=True)
class OwnLine:
    """The innermost line of the user's own code in a traceback. ``where``: ``"helpers.py, line 3, in explore"``."""

    where: str
    code: str


_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>.+)$')
_NOT_OWN = re.compile(r"[/\\](?:site-packages|dist-packages|phasenb)[/\\]|[/\\]lib[/\\]python3|^<frozen")
_CELL = re.compile(r"ipykernel_\d+[/\\]|^<ipython-input")


def own_line(traceback: str) -> OwnLine | None:
    """None where the traceback has no line of the user's own."""
    lines = traceback.splitlines()
    found: OwnLine | None = None
    for index, line in enumerate(lines):
        frame = _FRAME.match(line)
        if frame is None or _NOT_OWN.search(frame["file"]):
            continue
        following = lines[index + 1].strip() if index + 1 < len(lines) else ""
        code = "" if _FRAME.match(following) else following
        name = "the notebook" if _CELL.search(frame["file"]) else re.split(r"[/\\]", frame["file"])[-1]
        found = OwnLine(f"{name}, line {frame['line']}, in {frame['function']}", code)
    return found
