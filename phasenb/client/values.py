"""Values on the client's side: references become objects of this process when asked, and not before.

Rules: what a host has is fetched once and kept in a temporary folder of this process, gone with it; an embedded
host's own folder is read as it is. ``load`` blocks and runs what unpickling runs: never on an event loop.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any, BinaryIO

from phasenb.client.backend import Backend
from phasenb.codecs import decode
from phasenb.codecs.objects import ObjectFolder
from phasenb.dto.base import new_ulid
from phasenb.dto.values import Json, as_reference


class Values:
    """The values of one backend. ``near``: whether its host is on this machine."""

    def __init__(self, backend: Backend, *, allow_pickle: bool = True) -> None:
        self._backend = backend
        self.allow_pickle = allow_pickle
        self._lock = threading.Lock()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self.near = backend.embedded
        self._given: set[str] = set()

    def load(self, value: Json) -> Any:
        """The value that inline JSON or a reference stands for; always a fresh object.

        Raises UnknownObject, ServerUnreachable, and what unpickling raises. That can run code of whoever wrote the
        value; PickleRefused without ``allow_pickle``.
        """
        reference = as_reference(value)
        if reference is None:
            return decode(value, _NOWHERE)
        return decode(value, self._holding(reference.hash), allow_pickle=self.allow_pickle)

    def open(self, hash: str) -> BinaryIO:
        """The bytes of an object as they are stored. Blocks. Raises UnknownObject, ServerUnreachable."""
        return self._holding(hash).open(hash)

    def _holding(self, hash: str) -> ObjectFolder:
        """The folder that has an object: the host's own, or ours, where it is brought first."""
        folder = self._backend.input_folder()
        if folder is None:
            folder = ObjectFolder(str(self._folder() / "objects"))
            if not folder.has(hash):
                self._backend.download(hash, folder)
        return folder

    def staging(self) -> tuple[ObjectFolder, Path | None]:
        """Where a launch's inputs are written: the host's own folder; or one of its own to be uploaded from and then
        removed, with its path.
        """
        folder = self._backend.input_folder()
        if folder is not None:
            return folder, None
        path = self._folder() / new_ulid()
        return ObjectFolder(str(path)), path

    def given(self, hash: str) -> bool:
        """Whether ``give`` gave it to the host."""
        return hash in self._given

    def give(self, hash: str, data: bytes) -> None:
        """Have the host keep what many launches name. Blocks. Raises ServerUnreachable."""
        folder, path = self.staging()
        try:
            folder.put(data)
            file = folder.local_path(hash)
            if path is not None and file is not None:
                self._backend.upload(hash, file)
        finally:
            if path is not None:
                shutil.rmtree(path, ignore_errors=True)
        self._given.add(hash)

    def forget(self, hash: str) -> None:
        """The host does not have it any more."""
        self._given.discard(hash)

    def close(self) -> None:
        with self._lock:
            temporary, self._temporary = self._temporary, None
        if temporary is not None:
            temporary.cleanup()

    def _folder(self) -> Path:
        with self._lock:
            if self._temporary is None:
                self._temporary = tempfile.TemporaryDirectory(prefix="phasenb-", ignore_cleanup_errors=True)
            return Path(self._temporary.name)


_NOWHERE = ObjectFolder("/nonexistent")  # inline values are never looked up
