"""The command ``launch``: a file's workflow, or a registered agent, on a server; or here, until its end.

Rules: where there is no server, nothing is launched that nobody would run: ``--wait`` runs it in this process, and
stays till the end. What this process leaves behind (Ctrl-C, a gate, a timeout) stays in the store, and the next host
takes it up. stdout of a launch that does not wait is the task's id alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
import typer

from phasenb.cli.exits import Exit
from phasenb.cli.following import OnApproval, OnApprovalOption, TimeoutOption, follow, seconds_of
from phasenb.cli.frame import Call, command, leaving_on_sigterm
from phasenb.cli.places import SESSION, client_of, find_server
from phasenb.client.selection import labels_of
from phasenb.display import words
from phasenb.dto.launch import LAUNCHER, ExecutorKind
from phasenb.errors import NoServer

if TYPE_CHECKING:
    from phasenb.client.client import Client

_HERE = "--wait runs the task in this process until its end"


def add(app: typer.Typer) -> None:
    command(app)(launch)


def launch(
    call: Call,
    target: Annotated[
        str, typer.Argument(metavar="FILE.py[:NAME]|AGENT", help="A file's workflow, or an agent's name.")
    ],
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Inputs: JSON where they parse, else text.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Stay until it has ended; run it here if no server is.")
    ] = False,
    timeout: TimeoutOption = None,
    on_approval: OnApprovalOption = OnApproval.LEAVE,
    key: Annotated[str | None, typer.Option(help="Launched twice with it, it is one task.")] = None,
    if_exists: Annotated[Literal["attach", "new", "error"], typer.Option(help="What a known key does.")] = "attach",
    name: Annotated[str | None, typer.Option(help="The task's name, else the workflow's.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Repeatable.")] = None,
    approve_before: Annotated[list[str] | None, typer.Option(metavar="PHASE", help="A gate; repeatable.")] = None,
    retry: Annotated[
        list[str] | None,
        typer.Option(metavar="[PHASE=]N", help="Try a phase at most N times, whatever it raises; repeatable."),
    ] = None,
    attempt_timeout: Annotated[
        list[str] | None,
        typer.Option(metavar="[PHASE=]DURATION", help='How long an attempt may take, as "10m"; repeatable.'),
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option(metavar="NAME[=VALUE]", help="A variable for the phases; repeatable.")
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=env:NAME|file:PATH]",
            help="A secret variable of this shell, or where the host finds it; repeatable.",
        ),
    ] = None,
    executor: Annotated[ExecutorKind | None, typer.Option(help="Where the phases run.")] = None,
    priority: Annotated[int | None, typer.Option(min=-100, max=100, help="Higher ones start first.")] = None,
    fresh_worker: Annotated[bool, typer.Option("--fresh-worker", help="A worker that ran nothing before.")] = False,
) -> int:
    """Launch a task. Writes its id, or with --wait shows it until it has ended. With --json: snapshots."""
    given = {
        "key": key, "if_exists": if_exists if key else None, "name": name, "executor": executor, "priority": priority,
        "labels": _pairs("--label", label), "approve_before": approve_before, "env": _env(env),
        "secrets": _pairs("--secret", [text if "=" in text else f"{text}={LAUNCHER}" for text in secret or ()]),
        "fresh_worker": fresh_worker or None, "retry": _per_phase("--retry", retry),
        "timeout": _per_phase("--attempt-timeout", attempt_timeout),
    }  # fmt: skip
    options = {option: value for option, value in given.items() if value not in (None, {}, [])}
    values = {name: _value(text) for name, text in _pairs("KEY=VALUE", inputs).items()}
    limit_s = seconds_of(timeout)
    agent = _agent(target)
    with _place(call, target, wait=wait) as client:
        return _launch(call, client, agent, values, options, wait=wait, timeout_s=limit_s, on_approval=on_approval)


def _launch(
    call: Call,
    client: Client,
    agent: Any,
    values: dict[str, Any],
    options: dict[str, Any],
    *,
    wait: bool,
    timeout_s: float | None,
    on_approval: OnApproval,
) -> int:
    from phasenb.client.handle import TaskHandle
    from phasenb.client.launching import prepare

    options = {**getattr(agent, "options", {}), **options}
    model, duplicate = client.run(client.on_loop.send_launch(prepare(agent, values, client.values, options)))
    task = TaskHandle(client, model)
    if duplicate:
        call.say(f"phasenb: attached to {words.short(task.task_id)}, which was launched with this key before")
    if wait:
        try:
            return follow(call, task, timeout_s=timeout_s, on_approval=on_approval, here=client.embedded)
        finally:
            if client.embedded and not task.state.terminal:
                kept = f"{words.short(task.task_id)} is kept in the store"
                call.say(f"phasenb: {kept}: the next host, such as `phasenb serve`, takes it up")
    if call.json:
        call.line({**task.snapshot.as_json(), "duplicate": duplicate})
    else:
        typer.echo(task.task_id)
        follows = f"`phasenb watch {words.short(task.task_id)}` follows it"
        call.say(f"phasenb: {words.plain(task.name)} runs on {client.url}; {follows}")
    return Exit.DONE


@contextmanager
def _place(call: Call, target: str, *, wait: bool) -> Iterator[Client]:
    """Where it is launched: the server, or with ``wait`` a host in this process. Raises NoServer."""
    from phasenb.client.sessions import script_session

    session = script_session(_file(target)) if _file(target) else SESSION
    server = find_server(call)
    if server is not None:
        with client_of(call, server, session) as client:
            yield client
        return
    if not wait:
        raise NoServer("phasenb launch", _HERE)
    from phasenb.client.embedded import EmbeddedBackend, EmbeddedHost
    from phasenb.client.loop_thread import shared_loop

    host = EmbeddedHost(shared_loop())
    with leaving_on_sigterm():
        try:
            with client_of(call, EmbeddedBackend(host), session) as client:
                yield client
        finally:
            host.thread.run(host.stop())


def _file(target: str) -> str:
    """The file of ``FILE.py:NAME``; empty where the target is a registered agent's name."""
    path = target.partition(":")[0]
    return path if path.endswith(".py") else ""


def _agent(target: str) -> Any:
    if not _file(target):
        return target
    from phasenb.cli.files import agent_of_file

    return agent_of_file(target)


def _pairs(option: str, given: list[str] | None) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given or ():
        try:
            [(name, value)] = labels_of(text).items()
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option) from None
        if not name:
            raise typer.BadParameter(f"{text!r} has no name before the =", param_hint=option)
        if name in pairs:
            raise typer.BadParameter(f"{name} is given twice", param_hint=option)
        pairs[name] = value
    return pairs


def _per_phase(option: str, given: list[str] | None) -> Any:
    """One value for all phases, or {phase: value}."""
    if not given:
        return None
    if len(given) == 1 and "=" not in given[0]:
        return _number(given[0])
    return {phase: _number(value) for phase, value in _pairs(option, given).items()}


def _number(text: str) -> int | str:
    return int(text) if text.isdecimal() else text  # what is no number is for the option's own check


def _env(given: list[str] | None) -> dict[str, str]:
    """A name alone is a variable of this process."""
    env: dict[str, str] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals and name not in os.environ:
            raise typer.BadParameter(f"the variable {name} is not set here", param_hint="--env")
        env[name] = value if equals else os.environ[name]
    return env


def _value(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
