"""The command ``doctor``: is everything there that tasks need, as seen from this shell, and what to do if not."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from phasenb.cli.exits import Exit
from phasenb.cli.frame import Call, command
from phasenb.cli.table import styled

if TYPE_CHECKING:
    from phasenb.cli.checks import Finding
    from phasenb.config.layers import Setting

_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "wrong": ("WRONG", "red")}


def add(app: typer.Typer) -> None:
    command(app)(doctor)


def doctor(
    call: Call,
    every: Annotated[bool, typer.Option("--all", help="Each value of the configuration, the defaults too.")] = False,
) -> int:
    """Check server, token, extension, store, executor and browser side, and say what to do. 1 if something is wrong.

    With --json: {"check", "status", "text", "todo"} a line, then {"field", "value", "source", "line"} a line.
    """
    from phasenb.cli import checks

    wrong = False
    for finding in checks.installed():
        _tell(call, finding)
    settings, told, configured = checks.configuration()
    parts = [iter([configured]), checks.extension(), checks.server(call)]
    if settings is not None:
        parts += [checks.store(settings), checks.executor(settings), checks.kernels()]
    for part in [*parts, checks.browser()]:
        for finding in part:
            _tell(call, finding)
            wrong = wrong or finding.status == "wrong"
    _tell_settings(call, told, every)
    return Exit.FAILED if wrong else Exit.DONE


def _tell(call: Call, finding: Finding) -> None:
    if call.json:
        call.line(asdict(finding))
        return
    mark, colour = _MARKS[finding.status]
    typer.echo(f"{styled(f'{mark:>5}', fg=colour)}  {finding.check}: {finding.text}")
    if finding.todo:
        typer.echo(f"       -> {finding.todo}")


def _tell_settings(call: Call, told: list[Setting], every: bool) -> None:
    if call.json:
        for setting in told:
            call.line(asdict(setting))
        return
    from phasenb.config.loading import DEFAULT

    shown = [setting for setting in told if every or setting.source != DEFAULT]
    if shown:
        typer.echo("\nconfiguration, as this shell's processes find it:")
    for setting in shown:
        where = f"{setting.source}, line {setting.line}" if setting.line else setting.source
        typer.echo(f"  {setting.field} = {orjson.dumps(setting.value).decode()}  ({where})")
    if not every and told:
        typer.echo(f"  {len(told) - len(shown)} more by default: --all shows them" if shown else "")
