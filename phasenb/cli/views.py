"""What a command shows while it follows tasks: cards that move in a terminal, lines in a pipe, JSON for a script.

Rules: each gets every change in order and paints as it sees fit; JSON is a whole snapshot for each change; the terminal
is painted by the newest state alone, a few times a second, and what is left there at the end is the last of it.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import typer

from phasenb.cli.frame import Call
from phasenb.cli.lines import told
from phasenb.cli.table import clock
from phasenb.display import words
from phasenb.dto.task_state import TaskState

if TYPE_CHECKING:
    from rich.live import Live


class View(Protocol):
    """``change`` for each state, in order; ``paint`` when nothing more is at hand, and each second."""

    def change(self, task: TaskState) -> None: ...
    def paint(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def view_of(call: Call, *, many: bool = False) -> View:
    """The view for where stdout goes. ``many``: of more than one task, so that lines say whose they are."""
    if call.json:
        return _Objects(call)
    moves = sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    return _Cards(many) if moves else _Lines(many)


class _Plain:
    """A view that needs no end."""

    def paint(self) -> None:
        """Everything was written as it came."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class _Objects(_Plain):
    def __init__(self, call: Call) -> None:
        self._call = call

    def change(self, task: TaskState) -> None:
        self._call.line(task.as_json())


class _Lines(_Plain):
    def __init__(self, many: bool) -> None:
        self._many = many
        self._told: dict[str, TaskState] = {}

    def change(self, task: TaskState) -> None:
        now = datetime.now(UTC)
        whose = f"{words.short(task.task_id)}  " if self._many else ""
        for at, line in told(self._told.get(task.task_id), task):
            typer.echo(f"{clock(at or now, now)}  {whose}{line}")
        self._told[task.task_id] = task


class _Cards:
    """A card for each live task. Of many, those that have ended move up and stay, so that the moving part fits."""

    def __init__(self, many: bool) -> None:
        self._many = many
        self._tasks: dict[str, TaskState] = {}
        self._live: Live

    def change(self, task: TaskState) -> None:
        self._tasks[task.task_id] = task

    def paint(self) -> None:
        from rich.console import Group

        from phasenb.cli.card import card

        now = datetime.now(UTC)
        ended = [task for task in self._tasks.values() if self._many and task.state.terminal]
        for task in ended:
            del self._tasks[task.task_id]
        self._live.update(Group(*(card(task, now) for task in self._tasks.values())))
        for task in ended:
            self._live.console.print(card(task, now))
        self._live.refresh()

    def __enter__(self) -> Self:
        from rich.live import Live

        self._live = Live(auto_refresh=False, vertical_overflow="visible")
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)
