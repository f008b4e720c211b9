"""A task as a card in a terminal: its phases as steps with bars, what it is doing, what it waits for. Pure."""

from __future__ import annotations

from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from phasenb.cli.lines import waits
from phasenb.display import words
from phasenb.dto.phase import Phase, PhaseStatus
from phasenb.dto.task_state import State, TaskState

_BAR_WIDTH = 32
_STEPS = {  # the mark, and the colour of it and its bar
    PhaseStatus.PENDING: ("·", "bright_black"),
    PhaseStatus.RUNNING: ("▸", "blue"),
    PhaseStatus.RETRYING: ("↻", "yellow"),
    PhaseStatus.COMPLETE: ("✓", "green"),
    PhaseStatus.FAILED: ("✗", "red"),
    PhaseStatus.ROLLED_BACK: ("↩", "yellow"),
}
_STATES = {
    State.RUNNING: "blue", State.RETRYING: "yellow", State.AWAITING_APPROVAL: "magenta", State.PAUSED: "yellow",
    State.CANCELLING: "yellow", State.COMPLETED: "green", State.FAILED: "red", State.CANCELLED: "yellow",
}  # fmt: skip


def card(task: TaskState, now: datetime) -> RenderableType:
    """As many lines as the task has phases, and one to four more."""
    steps = Table.grid(padding=(0, 2, 0, 0))
    for phase in task.phases:
        steps.add_row(*_step(task, phase, now))
    parts: list[RenderableType] = [_head(task, now)]
    if (given := words.inputs_line(task)) is not None:
        parts.append(Padding(Text(given, "bright_black"), (0, 0, 0, 2)))
    parts.append(Padding(steps, (0, 0, 0, 2)))
    parts += [Padding(Text(line, style), (0, 0, 0, 2)) for line, style in _below(task, now)]
    return Group(*parts)


def _head(task: TaskState, now: datetime) -> Text:
    head = Text(words.plain(task.name), style="bold")
    head.append(f"  {words.short(task.task_id)}", style="bright_black")
    head.append(f"  {words.STATE_WORDS[task.state]}", style=_STATES.get(task.state, ""))
    took = words.elapsed(task.started_at, task.ended_at, now)
    facts = [] if task.state.terminal else [words.share(task)]
    facts += [took] if took else []
    if task.eta_s is not None and task.state is State.RUNNING:
        facts.append(f"{words.duration(task.eta_s)} left")
    head.append("".join(f"  {fact}" for fact in facts), style="bright_black")
    return head


def _step(task: TaskState, phase: Phase, now: datetime) -> tuple[RenderableType, ...]:
    mark, colour = _STEPS[phase.status]
    done = 100.0 if phase.status is PhaseStatus.COMPLETE else phase.percent
    style = colour if phase.attempt else "bright_black"
    counts = words.counts(task, phase)
    bar = ProgressBar(
        total=None if counts else 100, completed=done, width=_BAR_WIDTH, complete_style=style, finished_style=style,
        pulse_style=style,
    )  # fmt: skip
    took = words.elapsed(phase.started_at, phase.ended_at, now) if phase.attempt else None
    facts = [words.attempt(phase), words.instead(phase)]
    told = ", ".join(fact for fact in facts if fact)
    percent = (words.progress(task, phase) if counts else words.percent(done)) if phase.attempt else ""
    return (
        Text(mark, colour), Text(phase.name, "" if phase.attempt else "bright_black"), bar,
        Text(percent, justify="right"), Text(took or "", "bright_black", justify="right"), Text(told, "yellow"),
    )  # fmt: skip


def _below(task: TaskState, now: datetime) -> list[tuple[str, str]]:
    """(line, style): what it does or waits for, its error, what to type."""
    lines: list[tuple[str, str]] = []
    trouble = words.trouble(task)
    failed = trouble.error if trouble is not None else None
    if failed is not None:
        lines.append((f"{failed.type}: {words.plain(failed.message)}".removesuffix(": "), "red"))
        own = words.own_line(failed.traceback)
        if own is not None:
            lines.append((f"{own.where}: {own.code}", "bright_black"))
    if (person := waits(task)) is not None:
        lines.append((person, "yellow" if task.state is State.PAUSED else "magenta"))
    elif (activity := words.activity(task, now)) is not None:
        lines.append((activity, ""))
    if task.line is not None:
        lines += [(words.plain(line), "bright_black") for line in task.line.splitlines()]
    if task.state is State.COMPLETED and task.phases and task.phases[-1].output_preview:
        lines.append((words.plain(task.phases[-1].output_preview), ""))
    return lines
