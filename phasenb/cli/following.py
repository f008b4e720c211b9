"""Following tasks until they have ended: the command ``watch``, and what ``launch --wait`` does.

Rules: Ctrl-C and a timeout end the following, never a task; a gate or a pause ends it too, since the person who answers
needs the terminal, and a job that nobody looks at would hang (``--on-approval wait`` stays). The connection comes back
by itself when a server is started again.
"""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from phasenb.cli.exits import exit_of_state
from phasenb.cli.frame import Call, command, leaving_on_sigterm
from phasenb.cli.listing import scope_of
from phasenb.cli.places import reading
from phasenb.cli.views import View, view_of
from phasenb.dto.policies import parse_duration
from phasenb.dto.task_state import State, TaskState
from phasenb.errors import PhasenbError

if TYPE_CHECKING:
    from phasenb.client.handle import TaskHandle

_TICK_S = 1.0  # the time so far is shown in seconds
Changes = queue.SimpleQueue[TaskState | PhasenbError]


class OnApproval(StrEnum):
    LEAVE = "leave"
    WAIT = "wait"


TimeoutOption = Annotated[
    str | None, typer.Option(metavar="DURATION", help='Leave after so long ("90s", "2h") with 124; the task goes on.')
]
OnApprovalOption = Annotated[
    OnApproval, typer.Option(help="When a person must approve or resume: leave with 6, or wait for it.")
]


def add(app: typer.Typer) -> None:
    command(app)(watch)


def watch(
    call: Call,
    task: Annotated[str | None, typer.Argument(metavar="TASK", help="This task; else all that are live.")] = None,
    timeout: TimeoutOption = None,
    on_approval: OnApprovalOption = OnApproval.LEAVE,
) -> int:
    """Follow a task until it has ended, or all live tasks until Ctrl-C. With --json: a snapshot for each change."""
    limit_s = seconds_of(timeout)
    with reading(call) as client:
        if task is not None:
            return follow(call, client.task(task), timeout_s=limit_s, on_approval=on_approval)
        changes: Changes = queue.SimpleQueue()
        client.feed(changes.put, scope=scope_of(call))
        client.on_end(changes.put)
        return _follow(view_of(call, many=True), changes, lambda _: None, limit_s, here=False)


def seconds_of(duration: str | None) -> float | None:
    """``"90"`` is seconds too. Raises BadParameter."""
    if duration is None:
        return None
    try:
        return float(parse_duration(float(duration) if duration.replace(".", "", 1).isdecimal() else duration))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--timeout") from None


def follow(
    call: Call, task: TaskHandle, *, timeout_s: float | None, on_approval: OnApproval, here: bool = False
) -> int:
    """Show a task until it has ended; its exit code. ``here``: in this process, where nobody else can resume it once it
    is paused. Raises TimeoutError, and why nothing more is heard of it.
    """
    changes: Changes = queue.SimpleQueue()
    task.listen(lambda: changes.put(task.problem or task.snapshot))

    def ended(state: TaskState) -> int | None:
        leaves = on_approval is OnApproval.LEAVE or (here and state.state is State.PAUSED)
        if state.state.terminal or (state.needs_person and leaves):
            return exit_of_state(state.state)
        return None

    return _follow(view_of(call), changes, ended, timeout_s, here=here)


def _follow(
    view: View, changes: Changes, ended: Callable[[TaskState], int | None], timeout_s: float | None, *, here: bool
) -> int:
    until = math.inf if timeout_s is None else time.monotonic() + timeout_s
    with leaving_on_sigterm(), view:  # a view puts the terminal's cursor back
        while True:
            for change in _next(changes, min(_TICK_S, until - time.monotonic())):
                if isinstance(change, PhasenbError):
                    raise change
                view.change(change)
                if (code := ended(change)) is not None:
                    view.paint()
                    return code
            view.paint()
            if time.monotonic() >= until:
                raise TimeoutError(f"not ended after {timeout_s:g} s{'' if here else '; it goes on where it runs'}")


def _next(changes: Changes, wait_s: float) -> list[TaskState | PhasenbError]:
    """All changes that are at hand, after waiting for the first; none in time: an empty list."""
    found = []
    try:
        found.append(changes.get(timeout=max(0.0, wait_s)))
        while True:
            found.append(changes.get_nowait())
    except queue.Empty:
        return found
