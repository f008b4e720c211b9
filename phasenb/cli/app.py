"""The Typer app: its commands by the order in which they are helped with, and what stands before a command."""

from __future__ import annotations

from typing import Annotated

import typer

from phasenb.cli import backups, doctor, exporting, following, launching, listing, serving, steering
from phasenb.cli.frame import Call, JsonOption, SessionOption, TokenOption, UrlOption

app = typer.Typer(
    help="Durable, phased tasks: launch them, follow them, steer them. Any unique end of a task's id will do.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for commands in (launching, following, listing, steering, exporting, serving, backups, doctor):
    commands.add(app)


def _version(wanted: bool) -> None:
    if wanted:
        import phasenb

        typer.echo(f"phasenb {phasenb.__version__}")
        raise typer.Exit


@app.callback()
def before(
    ctx: typer.Context,
    url: UrlOption = None,
    token: TokenOption = None,
    session: SessionOption = None,
    json: JsonOption = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    ctx.obj = Call(url, token, session, json)
