"""Rows of text as columns that line up; colours where a terminal reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import typer

from phasenb.display import words
from phasenb.dto.task_state import State, TaskState

SHORT_ID = 8
_COLOURS = {
    "completed": "green", "complete": "green", "failed": "red", "lost": "red", "cancelled": "yellow",
    "running": "blue", "retrying": "yellow", "awaiting_approval": "magenta",
}  # fmt: skip


def show_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Under a header, each column as wide as it needs; nothing is cut: what reads a pipe gets it whole."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    typer.echo(typer.style(_joined(header, widths), dim=True))
    for row in rows:
        typer.echo(_joined(row, widths))


def _joined(row: Sequence[str], widths: Sequence[int]) -> str:
    last = len(row) - 1
    cells = [
        coloured(cell) + " " * (width - len(cell) if at < last else 0)
        for at, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def coloured(word: str) -> str:
    """A state or status in its colour, everything else as it is. Typer leaves the colours out of a pipe."""
    return typer.style(word, fg=_COLOURS[word]) if word in _COLOURS else word


def short(task_id: str) -> str:
    """The end of an id: its beginning is a time, and much the same for tasks of one day."""
    return task_id[-SHORT_ID:]


def local(at: datetime | None) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if at is not None else ""


def task_row(task: TaskState, now: datetime) -> list[str]:
    """``id, name, state, phase, percent, created, duration``."""
    took = words.elapsed(task.started_at, task.ended_at, now) or ""
    share = "" if task.state is State.COMPLETED else words.percent(task.percent)
    named, phase = words.plain(task.name), task.phase or ""
    if task.state is State.RETRYING:
        phase = f"{phase}: {words.activity(task, now)}"
    return [short(task.task_id), named, task.state.value, phase, share, local(task.created_at), took]
