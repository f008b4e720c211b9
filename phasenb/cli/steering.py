"""Commands that steer a task: cancel, pause, resume, give-up, retry, approve, deny. Each shows the task as it is
afterwards. And ``resume-launches``, of a session.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phasenb.cli.frame import Call, command
from phasenb.cli.listing import TaskArgument
from phasenb.cli.places import client_of, need_server
from phasenb.display import words

if TYPE_CHECKING:
    from phasenb.client.client import Client


def add(app: typer.Typer) -> None:
    for function in (cancel, pause, resume, give_up, retry, approve, deny, resume_launches):
        command(app)(function)


def _steered(call: Call, name: str, task: str, steer: Callable[[Client], None]) -> None:
    with client_of(call, need_server(call, name)) as client:
        steer(client)
        handle = client.task(task)
        client.ping()  # the events of what was done are there before its answer
        state = handle.snapshot
    if call.json:
        call.line(state.as_json())
    else:
        typer.echo(f"{words.plain(state.name)} {words.short(state.task_id)}: {words.STATE_WORDS[state.state]}")


def cancel(call: Call, task: TaskArgument) -> None:
    """End a task; its running attempt is stopped."""
    _steered(call, "cancel", task, lambda client: client.cancel(task))


def pause(call: Call, task: TaskArgument) -> None:
    """Start nothing new; the attempt that runs finishes and counts."""
    _steered(call, "pause", task, lambda client: client.pause(task))


def resume(call: Call, task: TaskArgument) -> None:
    """Go on after a pause."""
    _steered(call, "resume", task, lambda client: client.resume(task))


def resume_launches(call: Call) -> None:
    """Let the session launch again, though a threshold says wait."""
    with client_of(call, need_server(call, "resume-launches")) as client:
        client.resume_launches()
        session = client.session
    if call.json:
        call.line({"session": session})
    else:
        typer.echo(f"session {session} launches again")


def give_up(call: Call, task: TaskArgument) -> None:
    """Don't make the attempt that a task waits for: what follows the last one, follows now."""
    _steered(call, "give-up", task, lambda client: client.give_up(task))


def retry(
    call: Call,
    task: TaskArgument,
    from_phase: Annotated[str | None, typer.Option(help="From this phase on; else where it stopped.")] = None,
    code: Annotated[
        str | None, typer.Option(metavar="FILE.py[:NAME]", help="With corrected code; else with the launch's.")
    ] = None,
) -> None:
    """Run a failed or cancelled task again; what it finished before stays."""
    agent = None
    if code is not None:
        from phasenb.cli.files import agent_of_file

        agent = agent_of_file(code)
    _steered(call, "retry", task, lambda client: client.retry(task, from_phase, agent))


def approve(
    call: Call,
    task: TaskArgument,
    edit: Annotated[
        str | None,
        typer.Option(
            metavar="JSON", help="What the next phase gets instead of the last output; @FILE, or - for stdin."
        ),
    ] = None,
    note: Annotated[str | None, typer.Option(help="Kept with the answer.")] = None,
) -> None:
    """Let a task that waits for approval go on."""
    given: dict[str, Any] = {} if edit is None else {"edit": _json_of(edit)}
    _steered(call, "approve", task, lambda client: client.approve(task, note=note, **given))


def deny(
    call: Call,
    task: TaskArgument,
    reason: Annotated[
        str, typer.Argument(metavar="REASON", help="Why; kept with the answer, and ctx.feedback of a phase run again.")
    ],
    redo: Annotated[str | None, typer.Option(metavar="PHASE", help="Run this phase again; else the task ends.")] = None,
) -> None:
    """Don't let a task that waits for approval go on."""
    _steered(call, "deny", task, lambda client: client.deny(task, reason, redo))


def _json_of(text: str) -> Any:
    """The value of JSON text, of ``@FILE``, or of ``-``: what comes on stdin."""
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        return json.loads(text)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"it must be JSON ({error})", param_hint="--edit") from None
