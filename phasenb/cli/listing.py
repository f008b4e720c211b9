"""Commands that look: tasks, show, results, logs, events, source, agents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phasenb.cli.frame import Call, command
from phasenb.cli.lines import waits
from phasenb.cli.places import reading
from phasenb.cli.table import local, show_table, task_row
from phasenb.client.selection import labels_of, time_of
from phasenb.display import words
from phasenb.display.text import task_text
from phasenb.dto.task_state import State, TaskState

if TYPE_CHECKING:
    from phasenb.client.client import Client
    from phasenb.client.handle import TaskHandle

TASK_HELP = "A task's id, its name, or the end of its id."
TaskArgument = Annotated[str, typer.Argument(metavar="TASK", help=TASK_HELP)]
_TASK_HEADER = ("TASK", "NAME", "STATE", "PHASE", "%", "CREATED", "TOOK")
_RESULT_HEADER = ("TASK", "PHASE", "ATTEMPT", "STATUS", "TOOK", "RESULT")
_EVENT_HEADER = ("SEQ", "AT", "EVENT", "ABOUT")
_LONGEST_CELL = 100


def add(app: typer.Typer) -> None:
    for function in (tasks, show, results, logs, events, source, agents):
        command(app)(function)


def tasks(
    call: Call,
    state: Annotated[State | None, typer.Option(help="Only tasks in this state.")] = None,
    since: Annotated[str | None, typer.Option(help='A time (2026-11-24T09:00), or how long ago ("2h").')] = None,
    label: Annotated[str | None, typer.Option(metavar="NAME=VALUE", help="Only tasks with this label.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 50,
) -> None:
    """List tasks, newest first. With --json: a snapshot a line."""
    _check(since, label)
    with reading(call) as client:
        found = client.states(state=state, since=since, label=label, scope=scope_of(call), limit=limit)
    if call.json:
        for task in found:
            call.line(task.as_json())
        return
    if not found:
        call.say("no tasks")
        return
    now = datetime.now(UTC)
    show_table(_TASK_HEADER, [task_row(task, now) for task in found])


def scope_of(call: Call) -> str:
    return "session" if call.session else "user"


def _check(since: str | None, label: str | None) -> None:
    for option, text, read in (("--since", since, time_of), ("--label", label, labels_of)):
        try:
            read(text)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint=option) from None


def show(call: Call, task: TaskArgument) -> None:
    """Show one task: its phases, inputs, what it waits for, its error. With --json: its snapshot."""
    with reading(call) as client:
        show_task(call, client.task(task).snapshot)


def show_task(call: Call, task: TaskState) -> None:
    """All there is to say of a task."""
    if call.json:
        call.line(task.as_json())
        return
    typer.echo(task_text(task, now=datetime.now(UTC), activity=waits(task), inputs=False))
    facts = {"session": task.session, "agent": task.agent, "created": local(task.created_at)}
    facts |= {"key": task.key} if task.key else {}
    facts |= {f"label {name}": value for name, value in task.labels.items()}
    facts |= {f"input {name}": _cell(value) for name, value in task.inputs.items()}
    facts |= {"actions": ", ".join(task.actions)} if task.actions else {}
    for name, value in facts.items():
        typer.echo(f"  {name}: {value}")
    if task.error is not None and task.error.error.traceback and task.state is State.FAILED:
        typer.echo(f"\n{words.printable(task.error.error.traceback).rstrip()}")


def results(
    call: Call,
    task: Annotated[str | None, typer.Argument(metavar="TASK", help="Of this task; else of all.")] = None,
    phase: Annotated[str | None, typer.Option(help="Only of this phase.")] = None,
    last: Annotated[bool, typer.Option("--last", help="Only the attempts that count.")] = False,
) -> None:
    """List attempts and their outputs, oldest first. With --json: a PhaseResult a line, with its task_id."""
    with reading(call) as client:
        if task is not None:
            _check_phase(client.task(task), phase)
        found = [each for each in _results(client, call, task) if phase in (None, each["phase"])]
        if last:
            from phasenb.store.frames import set_aside, that_count

            tasks = [client.task(task).snapshot] if task is not None else client.states(scope=scope_of(call))
            found = that_count(found, set_aside(tasks))
    if call.json:
        for result in found:
            call.line(result)
        return
    if not found:
        call.say("no results")
        return
    show_table(_RESULT_HEADER, [_result_row(result) for result in found])


def _results(client: Client, call: Call, task: str | None) -> list[Mapping[str, Any]]:
    backend = client.on_loop.backend
    if task is not None:
        answer = client.run(backend.results(task_id=client.task(task).task_id))
    else:
        answer = client.run(backend.results(session=client.session if call.session else None))
    return list(answer["results"])


def _result_row(result: Mapping[str, Any]) -> list[str]:
    error = result.get("error") or {}
    told = f"{error['type']}: {error['message']}" if error else _cell(result["output"])
    name = result["phase"] if result["kind"] == "phase" else f"{result['phase']} ({result['kind']})"
    took = words.duration(result["duration_s"])
    return [words.short(result["task_id"]), name, str(result["attempt"]), result["status"], took, _one_line(told)]


def _cell(value: Any) -> str:
    """A value as a person reads it in a list: JSON, or what a reference says of what it stands for."""
    import orjson

    from phasenb.dto.values import as_reference

    reference = as_reference(value)
    if reference is not None:
        size = f"{reference.type or reference.codec}, {reference.bytes:,} bytes"
        return _one_line(f"{reference.preview} ({size})" if reference.preview else f"({size})")
    return _one_line(orjson.dumps(value).decode())


def _one_line(text: str) -> str:
    line = " ".join(words.plain(text).split())
    return line if len(line) <= _LONGEST_CELL else f"{line[: _LONGEST_CELL - 1]}…"


def logs(
    call: Call,
    task: TaskArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the task has ended.")] = False,
    phase: Annotated[str | None, typer.Option(help="Only of this phase.")] = None,
    attempt: Annotated[int | None, typer.Option(min=1, help="Only of this attempt.")] = None,
) -> None:
    """Write a task's output. With --json: a line's phase, attempt, line, stream, at and text."""
    with reading(call) as client:
        handle = client.task(task)
        _check_phase(handle, phase)
        if not _write_lines(call, handle, follow=follow, phase=phase, attempt=attempt):
            call.say("no lines")


def events(call: Call, task: TaskArgument) -> None:
    """List the events of a task's log. With --json: an event a line."""
    with reading(call) as client:
        found = client.run(client.on_loop.logged_events(client.task(task).task_id))
    if call.json:
        for event in found:
            call.line(event)
        return
    show_table(_EVENT_HEADER, [_event_row(event) for event in found])


def source(
    call: Call,
    task: TaskArgument,
    phase: Annotated[str, typer.Argument(metavar="PHASE", show_default=False, help="A phase's name.")],
    attempt: Annotated[int | None, typer.Option(min=1, help="As this attempt ran it. Default: the newest.")] = None,
) -> None:
    """Write the text of a phase's function, as an attempt ran it. With --json: {"phase", "attempt", "text"}."""
    with reading(call) as client:
        handle = client.task(task)
        _check_phase(handle, phase, "PHASE")
        text = handle.source(phase, attempt)
        attempt = attempt or handle.snapshot.phase_named(phase).attempt
    if call.json:
        call.line({"phase": phase, "attempt": attempt, "text": text})
    else:
        typer.echo("\n".join(words.printable(line) for line in text.splitlines()))


def _event_row(event: Mapping[str, Any]) -> list[str]:
    about = {name: value for name, value in event.items() if name in ("phase", "attempt", "by", "next", "reason", "to")}
    told = ", ".join(f"{name} {value}" for name, value in about.items() if value is not None)
    return [str(event["seq"]), local(datetime.fromisoformat(event["at"])), event["type"], _one_line(told)]


def _check_phase(task: TaskHandle, phase: str | None, said: str = "--phase") -> None:
    phases = [each.name for each in task.snapshot.phases]
    if phase is not None and phase not in phases:
        raise typer.BadParameter(f"the task has no phase {phase} (it has {', '.join(phases)})", param_hint=said)


def _write_lines(call: Call, task: TaskHandle, *, follow: bool, phase: str | None, attempt: int | None) -> int:
    """How many it wrote."""
    written = 0
    for line in task.log_lines(follow=follow):
        if phase not in (None, line["phase"]) or attempt not in (None, line["attempt"]):
            continue
        written += 1
        if call.json:
            call.line({"task_id": task.task_id, **line})
        else:
            typer.echo(words.printable(line["text"]))
    return written


def agents(call: Call) -> None:
    """List the agents that a launch may name. With --json: {"name": ...} a line."""
    with reading(call) as client:
        names = client.agents()
    for name in names:
        if call.json:
            call.line({"name": name})
        else:
            typer.echo(name)
    if not names:
        call.say('no agents are registered: the setting `agents` {"name": "module:attribute"} names them')
