"""Notebooks that something executes: what their kernel can know of them.

jupyter_client gives each kernel JPY_PARENT_PID, the process that started it. A command that executes one notebook names
it (papermill, ``jupyter nbconvert --execute``, ``jupyter execute``), and papermill can tell it the notebook
(``--inject-paths``). A program that does it by a library's function, and jupyter-scheduler, tell the kernel nothing but
its folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

_PAPERMILL = "papermill"
_COMMANDS = (_PAPERMILL, "jupyter-nbconvert", "jupyter-execute", "jupyter-run")
_MODULES = {"papermill": _PAPERMILL, "nbconvert": "jupyter-nbconvert"}
# Options with values that may end like a notebook's name, and how many.
_VALUES = {"--output": 1, "-p": 2, "--parameters": 2, "-r": 2, "--parameters_raw": 2}


def executed_notebook(names: Mapping[str, Any]) -> str | None:
    """The absolute path of the notebook that is executed in this kernel, or its URL; None where that is not known.
    ``names``: what its cells have bound.
    """
    told = names.get("PAPERMILL_INPUT_PATH")
    if isinstance(told, str) and told.endswith(".ipynb"):
        return _found(told, (os.getcwd(), os.environ.get("PWD", "")))  # noqa: PTH109 - asked at each launch
    return _of_command(os.environ.get("JPY_PARENT_PID", ""))


def is_inherited() -> bool:
    """Whether JPY_SESSION_NAME is another kernel's: of the one below which this kernel was started."""
    return _below_kernel(os.environ.get("JPY_PARENT_PID", ""), os.environ.get("JPY_SESSION_NAME", ""))


def notebook_in(command: Sequence[str]) -> str | None:
    """The one notebook that a command line says it executes, as it is written there; None for any other command."""
    name, arguments = _program(command)
    if name not in _COMMANDS:
        return None
    rest = iter(arguments)
    named = []
    for argument in rest:
        for _ in range(_VALUES.get(argument, 0)):
            next(rest, None)
        if argument == "-" or (argument.endswith(".ipynb") and not argument.startswith("-")):
            named.append(argument)
    if not named or (len(named) > 1 and name != _PAPERMILL):  # papermill's second one is what it writes
        return None
    return None if named[0] == "-" or "*" in named[0] else named[0]


def _program(command: Sequence[str]) -> tuple[str, Sequence[str]]:
    """A command's name and its arguments, also where it is a script or a module that Python runs."""
    rest = list(command)
    if rest and Path(rest[0]).name.lower().startswith("python"):
        rest = rest[1:]
        while rest and rest[0].startswith("-") and rest[0] != "-m":
            rest = rest[2 if rest[0] in ("-X", "-W") else 1 :]
        if rest[:1] == ["-m"]:
            return _MODULES.get(rest[1] if len(rest) > 1 else "", ""), rest[2:]
    if not rest:
        return "", ()
    name = Path(rest[0]).name
    return (f"jupyter-{rest[1]}", rest[2:]) if name == "jupyter" and len(rest) > 1 else (name, rest[1:])


@cache
def _of_command(pid: str) -> str | None:
    if not pid.isdigit():
        return None
    from psutil import Error, Process

    try:
        parent = Process(int(pid))
        command = parent.cmdline()
        folders = (parent.cwd(), os.environ.get("PWD", ""))
    except Error:
        return None  # gone, or another user's
    path = notebook_in(command)
    if path is None:
        return None
    # With --cwd papermill is in that folder while it executes: its own was the shell's.
    return _found(path, reversed(folders) if "--cwd" in command else folders)


@cache
def _below_kernel(pid: str, told: str) -> bool:
    if not pid.isdigit():
        return False
    from psutil import Error, Process

    try:
        environ = Process(int(pid)).environ()
    except Error:
        return False
    return "JPY_PARENT_PID" in environ and environ.get("JPY_SESSION_NAME") == told


def _found(path: str, folders: Iterable[str]) -> str | None:
    """Where a path is that was given in one of these folders; None where it is in none of them."""
    if "://" in path:
        return path
    return next((str(found) for folder in folders if (found := Path(folder, path)).is_file()), None)
