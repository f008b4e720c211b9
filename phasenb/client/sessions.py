"""Which session this process is: a notebook's outlives its kernels, a script's its runs (docs/sessions.md).

Rules: a session that somebody chose is used as it is. Else a notebook says where it is, and its host which session that
is (core.notebooks): so it follows a rename. The name made here from its path is for where no host was asked yet.
"""

from __future__ import annotations

import os
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from phasenb.client.runners import executed_notebook, is_inherited
from phasenb.config.machine import machine_digest
from phasenb.core.notebooks import session_of
from phasenb.core.parent import current_lineage, current_parent
from phasenb.display.surroundings import shell
from phasenb.dto.base import SESSION_PATTERN
from phasenb.dto.texts import printable
from phasenb.errors import WrongValue
from phasenb.web.message_protocol import NotebookPlace

_chosen: str | None = None
_own: dict[tuple[str, str], str] = {}  # (a host's URL, this notebook's path) -> the session that the host said it has


def session(name: str) -> None:
    """Use this session from now on, whatever notebook or script this is; in a phase, as long as it runs. Raises
    ValueError.
    """
    global _chosen
    parent = current_parent()
    if parent is not None:
        parent.use_session(check_session(name))
    else:
        _chosen = check_session(name)


def check_session(name: str) -> str:
    """Raises ValueError for what can't be a session's name."""
    if not isinstance(name, str) or not re.fullmatch(SESSION_PATTERN, name):
        raise WrongValue(f"session={name!r}: 1 to 128 characters of A-Z a-z 0-9 . _ : / @ - are possible")
    return name


def chosen_session() -> str | None:
    """In a phase its task's; else what ``pn.session`` was told, the session of the task whose phase started this
    process, or what PHASENB_SESSION says. Raises ValueError for a variable that can't be a name.
    """
    lineage = current_lineage()
    if lineage is not None:
        return lineage.session if _chosen is None or current_parent() is not None else _chosen
    return _chosen or (check_session(named) if (named := os.environ.get("PHASENB_SESSION")) else None)


def own_session(host: str, place: NotebookPlace | None) -> str | None:
    """What a host has called this notebook's session before: this process stays in it, whatever the notebook's path
    becomes.
    """
    return None if place is None else _own.get((host, place.path))


def keep_own_session(host: str, place: NotebookPlace, session: str) -> None:
    _own[host, place.path] = session


def current_session() -> str:
    """In a phase its task's; the chosen session, or this notebook's by its path (``nb:``), script's or directory's
    (``py:``).
    """
    chosen = chosen_session()
    if chosen is not None:
        return chosen
    notebook = current_notebook()
    return session_of(notebook) if notebook else script_session(_script() or str(Path.cwd()))


def current_notebook() -> str | None:
    """This notebook's absolute path: VS Code's variable, what jupyter_server tells a kernel, or what the command says
    that executes it; in a phase, that of its task. None elsewhere.
    """
    lineage = current_lineage()
    if lineage is not None:
        return lineage.notebook
    running: Any = shell()
    if running is None:
        return None
    path = running.user_ns.get("__vsc_ipynb_file__") or _told()
    # Asked at each launch: a Path would take its time.
    found = os.path.join(os.getcwd(), str(path)) if path else executed_notebook(running.user_ns)  # noqa: PTH109, PTH118
    return None if found is None else printable(found)


def current_place() -> NotebookPlace | None:
    """This notebook, as its host looks it up."""
    path = current_notebook()
    if path is None:
        return None
    # VS Code gives the server of its kernel another path.
    kernel = None if "__vsc_ipynb_file__" in getattr(shell(), "user_ns", ()) else _kernel_id()
    return NotebookPlace(path=path, kernel=kernel, machine=machine_digest())


def script_session(path: str) -> str:
    """The session that the script at ``path`` has when it runs."""
    return _script_session(path, os.getcwd())  # noqa: PTH109 - asked at each launch, where a Path costs too much


@lru_cache(maxsize=16)
def _script_session(path: str, folder: str) -> str:
    # Not resolved: two links to one file are two places to a person, and a moved target keeps its session.
    return session_of(str(Path(folder, path)), "py")


def _script() -> str | None:
    if shell() is not None:
        return None
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    return str(path) if path else None


def _told() -> str | None:
    """Set by jupyter_server for the kernels that it starts; what those start has it too, and is no notebook of it."""
    path = os.environ.get("JPY_SESSION_NAME")
    return path if path and not is_inherited() else None


def _kernel_id() -> str | None:
    """As its server knows this kernel: it is in the name of the connection file."""
    if "ipykernel" not in sys.modules:
        return None
    from ipykernel.connect import get_connection_file

    try:
        file = get_connection_file()
    except RuntimeError:
        return None
    found = re.fullmatch(r"kernel-(.+)\.json", Path(file).name)
    return found[1] if found else None
