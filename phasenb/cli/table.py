"""Rows of text as columns that line up; colours where a terminal reads."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import typer

from phasenb.display import words
from phasenb.dto.task_state import State, TaskState

_GAP = "  "
_NARROWEST = 4
_COLOURS = {
    "completed": "green", "complete": "green", "failed": "red", "lost": "red", "cancelled": "yellow",
    "running": "blue", "retrying": "yellow", "awaiting_approval": "magenta",
}  # fmt: skip


def show_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Under a header, each column as wide as it needs. In a terminal lines are as long as it is wide, and cells that
    have no room are cut; what reads a pipe gets it whole.
    """
    rows = [[" ".join(words.plain(cell).split()) for cell in row] for row in rows]  # a name may have lines
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    if sys.stdout.isatty():
        widths = fitted(widths, shutil.get_terminal_size().columns)
    typer.echo(styled(_joined(header, widths), dim=True))
    for row in rows:
        typer.echo(_joined(row, widths))


def fitted(widths: Sequence[int], room: int) -> list[int]:
    """Widths of columns that stand in ``room`` characters, where that is possible: the widest give way first."""
    found = list(widths)
    while sum(found) + len(_GAP) * (len(found) - 1) > room and max(found) > _NARROWEST:
        found[found.index(max(found))] -= 1
    return found


def _joined(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = []
    for cell, width in zip(row, widths, strict=True):
        shown = cell if len(cell) <= width else f"{cell[: width - 1]}…"
        # By the whole word: a colour is a matter of what it says, cut or not.
        cells.append(coloured(cell, shown) + " " * (width - len(shown)))
    return _GAP.join(cells).rstrip()


def coloured(word: str, shown: str | None = None) -> str:
    """A state or status (as it is ``shown``) in its colour, everything else as it is."""
    shown = word if shown is None else shown
    return styled(shown, fg=_COLOURS[word]) if word in _COLOURS else shown


def styled(text: str, **style: Any) -> str:
    """As typer.style, which leaves colours out of a pipe; and where NO_COLOR is set, as no-color.org has it."""
    return text if os.environ.get("NO_COLOR") else typer.style(text, **style)


def local(at: datetime | None) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if at is not None else ""


def clock(at: datetime, now: datetime) -> str:
    """The time of day; with its date, unless it is of today."""
    here, today = at.astimezone(), now.astimezone().date()
    return here.strftime("%H:%M:%S" if here.date() == today else "%Y-%m-%d %H:%M:%S")


def task_row(task: TaskState, now: datetime) -> list[str]:
    """``id, name, state, phase, percent, created, duration``."""
    took = words.elapsed(task.started_at, task.ended_at, now) or ""
    share = "" if task.state is State.COMPLETED else words.share(task)
    named, phase = words.plain(task.name), task.phase or ""
    if task.state is State.RETRYING:
        phase = f"{phase}: {words.activity(task, now)}"
    return [words.short(task.task_id), named, task.state.value, phase, share, clock(task.created_at, now), took]
