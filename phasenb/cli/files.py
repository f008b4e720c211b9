"""The agent of a file: ``report.py:flow`` as Python would run ``report.py``, without its ``__main__`` block.

Rules: the file's folder stands first on ``sys.path``, as for a script, and the working directory stays; the file's
code travels by value, so a task keeps the code that it was launched with; errors of the file are told with its own
traceback.
"""

from __future__ import annotations

import linecache
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import typer

from phasenb.core.extended_agent import ExtendedAgent
from phasenb.core.launch_check import nearest
from phasenb.errors import LaunchError

_loaded: list[ModuleType] = []  # their functions live as long as this process


def agent_of_file(target: str) -> ExtendedAgent:
    """``FILE.py:NAME``, or ``FILE.py`` where it has one workflow or agent only. Raises LaunchError."""
    path_text, _, name = target.partition(":")
    path = Path(path_text).absolute()
    if not path.is_file():
        raise typer.BadParameter(f"there is no file {path_text}")
    module = _load(path)
    return ExtendedAgent.of(_named(module, path_text, name) if name else _only(module, path_text))


def _load(path: Path) -> ModuleType:
    sys.path.insert(0, str(path.parent))
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    before = sys.modules.get(path.stem)
    sys.modules[path.stem] = module  # dataclasses and others look their module up while it is made
    try:
        text = path.read_bytes()
        exec(compile(text, str(path), "exec"), vars(module))  # noqa: S102 - to run this file is what was asked for
    except SystemExit as error:
        raise LaunchError(f"{path.name} can't be loaded: it calls sys.exit({error.code!r})") from None
    except Exception as error:
        frames = error.__traceback__.tb_next if error.__traceback__ is not None else None
        told = "".join(traceback.format_exception(type(error), error, frames)).rstrip()
        raise LaunchError(f"{path.name} can't be loaded:\n{told}") from None
    finally:
        # A module that can't be found by its name is packed by value (agents.captures).
        if before is None:
            del sys.modules[path.stem]
        else:
            sys.modules[path.stem] = before
    linecache.checkcache(str(path))
    _loaded.append(module)
    return module


def _named(module: ModuleType, path: str, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise LaunchError(f"{path} has no `{name}`.", argument=part, nearest=nearest(part, dir(found))) from None
    return found


def _only(module: ModuleType, path: str) -> ExtendedAgent:
    agents = {name: value for name, value in vars(module).items() if isinstance(value, ExtendedAgent)}
    if len({id(value) for value in agents.values()}) == 1:
        return next(iter(agents.values()))
    told = f"it has {', '.join(agents)}" if agents else "it has no Workflow and no ExtendedAgent"
    raise LaunchError(f"say which: {path}:NAME ({told})", argument="NAME")
