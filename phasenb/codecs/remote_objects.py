"""Objects at an fsspec URL (``s3://``, ``gs://``, ``memory://`` ...). See objects.py for what holds here.

fsspec has no fsync: a closed file of an object store is durable, which is its own promise.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import BinaryIO, cast

import fsspec


class RemoteFiles:
    """As LocalFiles, with fsspec's ``mv`` for the rename."""

    def __init__(self, url: str) -> None:
        self._fs, root = fsspec.core.url_to_fs(url)
        self._root = root.rstrip("/")
        self._names: dict[int, str] = {}

    def start(self) -> BinaryIO:
        folder = f"{self._root}/incoming"
        self._fs.makedirs(folder, exist_ok=True)
        path = f"{folder}/{uuid.uuid4().hex}"
        file = cast(BinaryIO, self._fs.open(path, "wb"))
        self._names[id(file)] = path
        return file

    def finish(self, file: BinaryIO, name: str) -> None:
        source = self._names.pop(id(file))
        file.close()
        self._fs.makedirs(f"{self._root}/{name[:2]}", exist_ok=True)
        self._fs.mv(source, self._path(name))

    def drop(self, file: BinaryIO) -> None:
        source = self._names.pop(id(file))
        file.close()
        self._fs.rm_file(source)

    def open(self, name: str) -> BinaryIO:
        return cast(BinaryIO, self._fs.open(self._path(name), "rb"))

    def touch(self, name: str, size: int | None = None) -> bool:
        # Object stores keep no time that can be renewed; a collector there goes by the store's own references.
        return self.has(name) and (size is None or self._fs.size(self._path(name)) == size)

    def has(self, name: str) -> bool:
        return bool(self._fs.isfile(self._path(name)))

    def local_path(self, name: str) -> Path | None:
        return None

    def _path(self, name: str) -> str:
        return f"{self._root}/{name[:2]}/{name}"
