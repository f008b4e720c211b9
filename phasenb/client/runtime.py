"""Where a launch comes from: interpreter, directory and search path of this process (design.md section 7)."""

from __future__ import annotations

import os
import platform
import site
import sys
import sysconfig
from functools import cache
from pathlib import Path

from phasenb.client.sessions import current_notebook
from phasenb.config.machine import machine_id
from phasenb.dto.launch import Runtime

_last: tuple[tuple[object, ...], Runtime] | None = None


def runtime() -> Runtime:
    """This process, as workers need to know it. Made anew only when the directory or ``sys.path`` changed."""
    global _last
    cwd = os.getcwd()  # noqa: PTH109 - asked at each launch, and a Path costs more than the launch's own check
    notebook = current_notebook()
    key = (os.getpid(), cwd, notebook, *sys.path)
    if _last is None or _last[0] != key:
        made = Runtime(
            python=platform.python_version(),
            executable=sys.executable,
            cwd=cwd,
            sys_path=additions(sys.path),
            host=machine_id(),
            notebook=notebook,
        )
        _last = (key, made)
    return _last[1]


def additions(path: list[str]) -> tuple[str, ...]:
    """The entries that the interpreter would not have by itself, absolute, in order, each once.

    ``""`` is the working directory, as Python has it.
    """
    defaults = _defaults()
    found = dict.fromkeys(str(Path(entry).absolute()) for entry in path)
    return tuple(entry for entry in found if entry not in defaults and not entry.startswith(_library()))


@cache
def _library() -> tuple[str, ...]:
    """The folders of the standard library: with what is below them, ``lib-dynload`` for one."""
    return tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})


@cache
def _defaults() -> frozenset[str]:
    """Site directories and what their .pth files add (editable installs), and the zipped library."""
    version = f"{sys.version_info.major}{sys.version_info.minor}"
    zipped = {f"{prefix}/{sys.platlibdir}/python{version}.zip" for prefix in (sys.base_prefix, sys.base_exec_prefix)}
    folders = {*site.getsitepackages(), site.getusersitepackages()}
    return frozenset(zipped | folders | {entry for folder in folders for entry in _pth_entries(Path(folder))})


def _pth_entries(folder: Path) -> set[str]:
    """The paths that site.addsitedir takes from the folder's .pth files (docs.python.org, "site")."""
    found = set()
    for pth in folder.glob("*.pth"):
        try:
            lines = pth.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue  # site skips it too
        found |= {
            str((folder / line.strip()).absolute())
            for line in lines
            if line.strip() and not line.startswith(("#", "import ", "import\t"))
        }
    return found
