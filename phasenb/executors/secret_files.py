"""SecretFiles: the secrets that launchers gave, each in a file of its own that its user alone can read.

Rules: the folder lies outside the store, so no copy or export of a store has a secret. It is the user's alone (0700),
and refused where it is another's. A file (0600) is whole or absent. A host's start removes what ended tasks left.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from phasenb.config.places import create_private, make_private_folder
from phasenb.errors import LaunchError

_YOUNG_S = 600.0  # another host may be about to store the task


class SecretFiles:
    """ports.Secrets in ``folder``, which is made when it is needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def keep(self, task_id: str, values: Mapping[str, str]) -> None:
        await asyncio.to_thread(self._keep, task_id, dict(values))

    def place(self, task_id: str, name: str) -> str:
        return str(self._folder / task_id / name)

    def forget(self, task_id: str) -> None:
        shutil.rmtree(self._folder / task_id, ignore_errors=True)

    async def sweep(self, ended: Callable[[str], Awaitable[bool]]) -> None:
        """Remove those of tasks that ``ended(task_id)``: a host that was killed could not."""
        for task_id in await asyncio.to_thread(self._old):
            if await ended(task_id):
                await asyncio.to_thread(self.forget, task_id)

    def _old(self) -> list[str]:
        before = time.time() - _YOUNG_S
        try:
            return [entry.name for entry in os.scandir(self._folder) if entry.stat().st_mtime < before]
        except FileNotFoundError:
            return []

    def _keep(self, task_id: str, values: dict[str, str]) -> None:
        try:
            folder = self._folder / task_id
            for each in (self._folder.parent, self._folder, folder):
                _own_folder(each)
            for name, value in values.items():
                whole = folder / f".{uuid.uuid4().hex}"
                with create_private(whole) as file:
                    file.write(value.encode())
                whole.replace(folder / name)
        except OSError as error:
            told = f"the secrets of this launch can't be kept in {self._folder} ({error.strerror})"
            raise LaunchError(told, argument="secrets") from None


def _own_folder(path: Path) -> None:
    """Make a folder, or take one that is this user's alone. Raises PermissionError for another's."""
    make_private_folder(path)
    found = path.lstat()
    if found.st_uid != os.getuid():
        raise PermissionError(1, "it belongs to another user")
    if found.st_mode & 0o077:
        path.chmod(0o700)
