"""Jupyter's folders, with a sentence where there is no home folder to have them in (a uid without a passwd entry)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from phasenb.errors import ConfigError

T = TypeVar("T")
# jupyter_core is imported late: a named server needs no folder, and a script that runs phases itself few of them.


def runtime_dir() -> Path:
    """Raises ConfigError."""
    from jupyter_core.paths import jupyter_runtime_dir

    return Path(_asked(jupyter_runtime_dir))


def data_dir() -> Path:
    """Raises ConfigError."""
    from jupyter_core.paths import jupyter_data_dir

    return Path(_asked(jupyter_data_dir))


def config_path() -> list[str]:
    """The folders of configuration, the strongest first. Raises ConfigError."""
    from jupyter_core.paths import jupyter_config_path

    return _asked(jupyter_config_path)


def data_path(folder: str) -> list[str]:
    """The folders of a kind of data, the strongest first. Raises ConfigError."""
    from jupyter_core.paths import jupyter_path

    return _asked(lambda: jupyter_path(folder))


def expanded(path: str | Path) -> Path:
    """With the home folder in the place of ``~``. Raises ConfigError."""
    return _asked(Path(path).expanduser)


def make_private_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, all of them their user's alone. Raises OSError."""
    # mkdir(parents=True) gives its mode to the last one only.
    for missing in reversed([each for each in (path, *path.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


def create_private(path: Path) -> BinaryIO:
    """A new file, its user's alone, to be written. Raises FileExistsError, OSError."""
    return open(path, "xb", opener=_private)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except RuntimeError:  # pathlib's, without HOME and without an entry to take one from
        problem = f"it is not set, and the user (uid {os.getuid()}) has no home folder: set HOME to one that exists"
        raise ConfigError("the environment", "HOME", problem) from None
