"""The part of docs/cli.md that is made from the app: commands, options, exit codes. ``make documents`` writes it.

Read from the commands' own signatures, not from what Typer makes of them, which differs between its releases.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from typer.models import ArgumentInfo, OptionInfo

from phasenb.cli.exits import MEANINGS
from phasenb.cli.frame import SHARED

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
_BEGIN, _END = "<!-- made by `make documents` from here -->\n", "<!-- to here -->\n"


def page(text: str) -> str:
    """``text`` of the page with its made part renewed."""
    before, _, rest = text.partition(_BEGIN)
    return f"{before}{_BEGIN}\n{reference()}\n{_END}{rest.partition(_END)[2]}"


def reference() -> str:
    """The exit codes, the shared options, and a section for each command, as Markdown."""
    from phasenb.cli.app import app

    lines = ["## Exit codes\n", "| code | meaning |", "|---|---|"]
    lines += [f"| {int(code)} | {meaning} |" for code, meaning in MEANINGS.items()]
    lines += ["\n## Commands\n", "Before or after each of them:\n"]
    lines += [_option(name, annotation, None) for name, annotation in SHARED.items()]
    for each in app.registered_commands:
        assert each.callback is not None
        lines += _command(str(each.name), each.callback)
    return "\n".join(lines) + "\n"


def _command(name: str, function: Any) -> Iterator[str]:
    own = [each for each in inspect.signature(function).parameters.values() if each.name not in ("ctx", *SHARED)]
    arguments = [each for each in own if isinstance(_info(each.annotation), ArgumentInfo)]
    yield f"\n### `{' '.join(['phasenb', name, *(_shown(each) for each in arguments)])}`\n"
    yield f"{' '.join((function.__doc__ or '').split())}\n"
    for each in arguments:
        yield f"- `{_info(each.annotation).metavar}`: {_info(each.annotation).help}"
    for each in own:
        if each not in arguments:
            yield _option(each.name, each.annotation, each.default)


def _info(annotation: Any) -> ArgumentInfo | OptionInfo:
    return next(each for each in get_args(annotation) if isinstance(each, ArgumentInfo | OptionInfo))


def _shown(argument: inspect.Parameter) -> str:
    name = str(_info(argument.annotation).metavar)
    return name if argument.default is inspect.Parameter.empty or name.startswith("[") else f"[{name}]"


def _option(name: str, annotation: Any, default: Any) -> str:
    info = _info(annotation)
    said = [each for each in (info.default, *(info.param_decls or ())) if isinstance(each, str)]
    names = ", ".join(said or [f"--{name.replace('_', '-')}"])
    usual = (
        "" if default in (None, False) else f" Default: `{default.value if isinstance(default, Enum) else default}`."
    )
    return f"- `{names}{_value(get_args(annotation)[0], info)}`: {info.help}{usual}"


def _value(kind: Any, info: ArgumentInfo | OptionInfo) -> str:
    """What stands after an option: its choices, its metavar, or its type."""
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(each for each in get_args(kind) if each is not type(None))
    if kind is bool:
        return ""
    if get_origin(kind) is Literal:
        return f" {'|'.join(get_args(kind))}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f" {'|'.join(str(each.value) for each in kind)}"
    return f" {info.metavar or {int: 'NUMBER'}.get(kind, 'TEXT')}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
