"""What all commands share: the options ``--url --token --session --json``, and the way an error ends a command.

Rules: the shared options stand before a command or after it, and after it wins. Errors are one line on stderr (with
``--json`` one JSON object), and an exit code.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from phasenb.cli.exits import Exit, exit_of
from phasenb.errors import PhasenbError, ServerError, ServerUnreachable

_PANEL = "Where, and in which form"
UrlOption = Annotated[
    str | None,
    typer.Option("--url", help="The server, as pasted from a browser; else PHASENB_URL, else one that is found here.",
                 metavar="URL", rich_help_panel=_PANEL),
]  # fmt: skip
TokenOption = Annotated[
    str | None,
    typer.Option("--token", help="Its token; better in PHASENB_TOKEN, which other users can't see.",
                 metavar="TOKEN", rich_help_panel=_PANEL),
]  # fmt: skip
SessionOption = Annotated[
    str | None,
    typer.Option("--session", help="Only this session's tasks; launches go into it. Else PHASENB_SESSION.",
                 metavar="NAME", rich_help_panel=_PANEL),
]  # fmt: skip
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON object a line, for scripts.", rich_help_panel=_PANEL)
]
SHARED = {"url": UrlOption, "token": TokenOption, "session": SessionOption, "json": JsonOption}


@dataclass(frozen=True)
class Call:
    """The shared options of one call. ``session`` None: those of all of the user's sessions."""

    url: str | None = None
    token: str | None = None
    session: str | None = None
    json: bool = False

    def over(self, before: Call | None) -> Call:
        """These options, and where one is not given, that of ``before``, then the environment's session."""
        under = before or Call()
        return Call(
            self.url or under.url,
            self.token or under.token,
            self.session or under.session or os.environ.get("PHASENB_SESSION") or None,
            self.json or under.json,
        )

    def line(self, value: Any) -> None:
        """A JSON object as a line of its own; a reader at the other end of a pipe gets it at once."""
        typer.echo(orjson.dumps(value, default=str))

    def say(self, text: str) -> None:
        """Words for a person, beside what is asked for: on stderr, and not where a script reads."""
        if not self.json:
            typer.echo(text, err=True)


def command(app: typer.Typer, name: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function ``(call: Call, ...)`` a command of ``app``. What it returns is the exit code; None is 0."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        app.command(name or function.__name__.replace("_", "-"))(_framed(function))
        return function

    return register


def _framed(function: Callable[..., Any]) -> Callable[..., None]:
    @functools.wraps(function)
    def framed(ctx: typer.Context, **given: Any) -> None:
        call = Call(**{option: given.pop(option) for option in SHARED}).over(ctx.obj)
        raise typer.Exit(guarded(call, lambda: function(call, **given)))

    signature = inspect.signature(function, eval_str=True)
    own = [each for each in signature.parameters.values() if each.name != "call"]
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    shared = [
        inspect.Parameter(
            option,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if option == "json" else None,
            annotation=annotation,
        )
        for option, annotation in SHARED.items()
    ]
    own = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
    parameters = [context, *own, *shared]
    framed.__signature__ = signature.replace(parameters=parameters, return_annotation=None)  # type: ignore[attr-defined]
    framed.__annotations__ = {each.name: each.annotation for each in parameters}
    return framed


@contextmanager
def leaving_on_sigterm() -> Iterator[None]:
    """Within, SIGTERM ends the command as Ctrl-C does, in good order: cron and systemd end a job with it."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(Exit.TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def guarded(call: Call, work: Callable[[], Any]) -> int:
    """Do it; the exit code. An error that a person can act on is told in a line; others come out as they are."""
    try:
        return int(work() or Exit.DONE)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read has gone; what is written on the way out has nowhere to go, and no word is lost on it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.BROKEN_PIPE
    except (PhasenbError, OSError) as error:
        code = exit_of(error)
        told = _words(error)
        if call.json:
            about: dict[str, Any] = {"type": type(error).__name__, "message": told}
            if isinstance(error, PhasenbError):
                about |= {"code": _code(error), "details": error.details}
            body = {"error": about, "exit_code": int(code)}
            typer.echo(orjson.dumps(body, default=str), err=True)
        else:
            typer.echo(f"phasenb: {told}", err=True)
        return code


def _code(error: PhasenbError) -> str | None:
    """The code of a server's error; null where no server said it: `internal` means a fault that its log has."""
    return None if error.code == PhasenbError.code and not isinstance(error, ServerError) else error.code


def _words(error: Exception) -> str:
    """As a terminal says it: the system's own errors by what and why; what to do about a server by this command's
    options.
    """
    if isinstance(error, ServerUnreachable) and not error.remedy:
        told = f"the server at {error.url} does not answer ({error.problem})"
        return f"{told}: start it, or name another with --url or PHASENB_URL"
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, FileNotFoundError) and _folder_is_gone():
        return "the folder that this shell is in no longer exists: cd to another one"
    return str(error)


def _folder_is_gone() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False
