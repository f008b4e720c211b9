"""Objects as files of a local folder. See objects.py for what holds here."""

from __future__ import annotations

import math
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from phasenb.config.places import create_private, make_private_folder

_NAME = re.compile(r"[0-9a-f]{64}")
_INCOMING = re.compile(r"[0-9a-f]{32}")


class LocalFiles:
    """``<root>/ab/<hex>``; temporary files lie in ``<root>/incoming``, on the same file system: a rename is atomic."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def start(self) -> BinaryIO:
        folder = self._root / "incoming"
        make_private_folder(folder)
        return create_private(folder / uuid.uuid4().hex)

    def finish(self, file: BinaryIO, name: str) -> None:
        with file:
            file.flush()
            os.fsync(file.fileno())
        target = self._path(name)
        fresh = not target.parent.exists()
        target.parent.mkdir(mode=0o700, exist_ok=True)
        Path(file.name).replace(target)
        _fsync_folder(target.parent)
        if fresh:
            _fsync_folder(self._root)

    def drop(self, file: BinaryIO) -> None:
        file.close()
        Path(file.name).unlink(missing_ok=True)

    def open(self, name: str) -> BinaryIO:
        return self._path(name).open("rb")

    def touch(self, name: str, size: int | None = None) -> bool:
        path = self._path(name)
        try:
            os.utime(path)
            return size is None or path.stat().st_size == size
        except FileNotFoundError:
            return False

    def has(self, name: str) -> bool:
        return self._path(name).is_file()

    def local_path(self, name: str) -> Path | None:
        return self._path(name)

    def not_renewed_since(self, before: float) -> list[str]:
        """The names of objects that nobody renewed since ``before`` (seconds since the epoch). Temporary files of that
        age are removed. Files that are not of our own making are neither.
        """
        for left in self._of_form(_INCOMING, "incoming/*"):
            if _modified(left) < before:
                left.unlink(missing_ok=True)
        found = self._of_form(_NAME, "??/*")
        return [path.name for path in found if path == self._path(path.name) and _modified(path) < before]

    def remove(self, name: str, before: float) -> bool:
        """Remove an object, unless it is not there or was renewed since ``before``."""
        path = self._path(name)
        if not _modified(path) < before:
            return False
        path.unlink(missing_ok=True)
        return True

    def _of_form(self, form: re.Pattern[str], pattern: str) -> Iterator[Path]:
        return (path for path in self._root.glob(pattern) if form.fullmatch(path.name) and path.is_file())

    def _path(self, name: str) -> Path:
        return self._root / name[:2] / name


def _modified(path: Path) -> float:
    """Seconds since the epoch; never, for a file that is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return math.inf


def _fsync_folder(folder: Path) -> None:
    """A rename is durable only once its folder is."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
