"""A task as accessible HTML: a card with its phases as steps, what it says, its last log lines, its end.

Rules: pure, from a TaskState and log lines; every text that comes from a task is escaped; it reads in order without
the style sheet and without colours (a hidden word says what a mark means); it stays as it is, so it says of which time
it speaks, and nothing of a time that goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

from phasenb.core.task_schema import preview
from phasenb.display import words
from phasenb.display.style import STYLE
from phasenb.dto.phase import LogLine, Phase, PhaseStatus
from phasenb.dto.task_state import State, TaskState

SAVED_LINES = 50

_TONES = {State.COMPLETED: "good", State.FAILED: "bad"}  # what may have changed since has no colour
_MARKS: dict[PhaseStatus, tuple[str, str, str]] = {  # mark, tone, word
    PhaseStatus.PENDING: ("○", "idle", "not started"),
    PhaseStatus.RUNNING: ("●", "go", "running"),
    PhaseStatus.RETRYING: ("↻", "warn", "waiting to try again"),
    PhaseStatus.COMPLETE: ("✓", "good", "complete"),
    PhaseStatus.FAILED: ("✕", "bad", "failed"),
    PhaseStatus.ROLLED_BACK: ("↶", "warn", "rolled back"),
}


def task_html(
    task: TaskState, log: Sequence[LogLine] = (), *, now: datetime, notes: Sequence[str] = (), styled: bool = True
) -> str:
    """The task as it is ``now``; not ``styled``: something around it carries the style sheet, or nothing does."""
    parts = [
        _head(task, now),
        _inputs(task),
        f'<ol class="pnb-steps" role="list">{"".join(_step(task, phase, now) for phase in task.phases)}</ol>',
        _says(task),
        _gate(task),
        _error(task),
        _output(task),
        _log(log, task.line),
        _foot(task, notes),
    ]
    body = "".join(part for part in parts if part)
    tone = _TONES.get(task.state, "idle")
    card = f'<section class="pnb pnb-{tone}" aria-label="task {escape(task.name)}">{body}</section>'
    return STYLE + card if styled else card


def _head(task: TaskState, now: datetime) -> str:
    """The name is no ``h4``: JupyterLab's table of contents would list each task among the notebook's own headings."""
    at = task.ended_at or task.updated_at if task.state.terminal else now
    took = words.elapsed(task.started_at, task.ended_at, now) if task.ended_at else None
    return (
        f'<div class="pnb-head"><strong class="pnb-name" dir="auto">{escape(task.name)}</strong>'
        f'<time class="pnb-state" datetime="{at.isoformat()}">{escape(words.as_of(task, now))}</time>'
        f'<span class="pnb-facts">{escape(took or "")}</span></div>'
    )


def _inputs(task: TaskState) -> str:
    """One line; what it cuts or leaves out is behind it. A gate before the first phase shows them itself."""
    line = words.inputs_line(task)
    if line is None or words.starts_with_inputs(task):
        return ""
    behind = words.inputs_behind(task)
    if not behind:
        return f'<p class="pnb-inputs" dir="auto" aria-label="inputs">{escape(line)}</p>'
    rest = escape("\n".join(behind))
    summary = f'<summary dir="auto" aria-label="inputs">{escape(line)}</summary>'
    return f'<details class="pnb-inputs">{summary}<p dir="auto">{rest}</p></details>'


def _step(task: TaskState, phase: Phase, now: datetime) -> str:
    mark, tone, word = _MARKS[phase.status]
    if phase.status is PhaseStatus.FAILED and task.state is State.CANCELLED:
        mark, tone, word = "-", "idle", "cancelled"
    if task.approval is not None and task.approval.phase == phase.name:
        mark, tone, word = "?", "warn", "waiting for approval"
    if phase.status is PhaseStatus.RUNNING:
        took: str | None = words.progress(task, phase)
    else:
        took = words.elapsed(phase.started_at, phase.ended_at, now) if phase.ended_at else None
    tried = words.tried(task, phase)
    sub = f'<div class="pnb-sub">{escape(tried)}</div>' if tried else ""
    share = f"{min(100.0, phase.percent):.4g}"
    counts = words.counts(task, phase)  # a bar without a value is an indeterminate one
    value = "" if counts else f' aria-valuenow="{share}"'
    return (
        f'<li class="pnb-step pnb-{tone} pnb-{phase.status.value}"><div class="pnb-label">'
        f'<span class="pnb-mark" aria-hidden="true">{mark}</span>'
        f'<span class="pnb-phase" title="{escape(phase.name)}">{escape(phase.name)}</span>'
        f'<span class="pnb-hidden">, {word}</span>'
        f'<span class="pnb-took">{escape(took or "")}</span></div>'
        f'<div class="pnb-bar{" pnb-counts" if counts else ""}" role="progressbar" aria-label="{escape(phase.name)}" '
        f'aria-valuemin="0" aria-valuemax="100"{value}><div class="pnb-fill" style="width:{share}%"></div></div>'
        f"{sub}</li>"
    )


def _says(task: TaskState) -> str:
    activity = words.activity(task)
    return f'<p class="pnb-says" dir="auto">{escape(activity)}</p>' if activity else ""


def _gate(task: TaskState) -> str:
    """What there is to approve."""
    if words.starts_with_inputs(task):
        lines = words.inputs(task, words.LONG_INPUT)
        return (
            f'<pre dir="auto" aria-label="inputs to be approved">{escape(chr(10).join(lines))}</pre>' if lines else ""
        )
    if task.approval is None or task.approval.output is None:
        return ""
    shown = words.plain(preview(task.approval.output) or "")
    return f'<pre dir="auto" aria-label="to be approved">{escape(shown)}</pre>'


def _error(task: TaskState) -> str:
    failure = words.trouble(task)
    if failure is None:
        return ""
    error = failure.error
    where = f" in {failure.phase}" if failure.phase else ""
    lines = [
        f"<p><b>{escape(error.type)}</b>{escape(where)}"
        f"{f': <bdi>{escape(words.plain(error.message))}</bdi>' if error.message else ''}</p>"
    ]
    own = words.own_line(error.traceback)
    if own is not None:
        lines.append(f"<p>{escape(own.where)}</p>")
        lines.append(f"<pre>{escape(words.plain(own.code))}</pre>" if own.code else "")
    if error.traceback:
        lines.append(
            f"<details><summary>Traceback</summary><pre>{escape(words.printable(error.traceback))}</pre></details>"
        )
    return f'<div class="pnb-error" role="alert">{"".join(lines)}</div>'


def _output(task: TaskState) -> str:
    if task.state is not State.COMPLETED or not task.phases:
        return ""
    preview = task.phases[-1].output_preview
    if preview is None or preview == "None":
        return ""
    return f'<p class="pnb-well">Result</p><pre dir="auto" aria-label="result">{escape(words.plain(preview))}</pre>'


def _log(log: Sequence[LogLine], unfinished: str | None) -> str:
    if not log and unfinished is None:
        return ""
    lines = [line.text for line in log[-SAVED_LINES:]] + (unfinished or "").splitlines()
    text = f'<pre dir="auto" aria-label="log">{escape(chr(10).join(map(words.plain, lines)))}</pre>'
    counted = "the last line" if len(lines) == 1 else f"the last {len(lines)} lines"
    return f"<details><summary>Log, {counted}</summary>{text}</details>"


def _foot(task: TaskState, notes: Sequence[str]) -> str:
    told = "".join(f"<span>{escape(note)}</span>" for note in notes)
    known = f'<code title="{escape(task.task_id)}">{escape(words.short(task.task_id))}</code>'
    return f'<div class="pnb-foot">{known}{told}</div>'
