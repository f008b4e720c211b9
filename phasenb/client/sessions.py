"""Which session this process is: a notebook's outlives its kernels, a script's its runs (design.md section 9)."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from phasenb.display.surroundings import shell
from phasenb.dto.base import SESSION_PATTERN

_SLUG_LENGTH = 60
_chosen: str | None = None


def session(name: str) -> None:
    """Use this session from now on, whatever notebook or script this is. Raises ValueError."""
    global _chosen
    _chosen = check_session(name)


def check_session(name: str) -> str:
    """Raises ValueError for what can't be a session's name."""
    if not isinstance(name, str) or not re.fullmatch(SESSION_PATTERN, name):
        raise ValueError(f"session={name!r}: 1 to 128 characters of A-Z a-z 0-9 . _ : / @ - are possible")
    return name


def current_session() -> str:
    """The chosen session, or this notebook's (``nb:``), script's or directory's (``py:``)."""
    if _chosen is not None:
        return _chosen
    notebook = current_notebook()
    return _named("nb", notebook) if notebook else script_session(_script() or str(Path.cwd()))


def current_notebook() -> str | None:
    """This notebook's absolute path: VS Code's variable, or what jupyter_server tells a kernel. None elsewhere."""
    running: Any = shell()
    if running is None:
        return None
    path = running.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    return os.path.join(os.getcwd(), str(path)) if path else None  # noqa: PTH109, PTH118 - asked at each launch


def script_session(path: str) -> str:
    """The session that the script at ``path`` has when it runs."""
    return _named("py", path)


def _script() -> str | None:
    if shell() is not None:
        return None
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    return str(path) if path else None


def _named(kind: str, path: str) -> str:
    return _named_in(kind, path, os.getcwd())  # noqa: PTH109 - asked at each launch, where a Path costs too much


@lru_cache(maxsize=16)
def _named_in(kind: str, path: str, folder: str) -> str:
    # Not resolved: two links to one file are two places to a person, and a moved target keeps its session.
    absolute = str(Path(folder, path))
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(absolute).stem).strip("-")[:_SLUG_LENGTH] or "unnamed"
    return f"{kind}:{slug}-{hashlib.sha256(absolute.encode()).hexdigest()[:8]}"
