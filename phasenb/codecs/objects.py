"""ObjectFolder: immutable bytes named by their content, in a local folder or at any fsspec URL.

Rules:

* An object is whole or absent: bytes go to a temporary name, are fsynced, and are renamed to ``ab/<sha256 hex>``.
* The same bytes are one object; putting them again only renews its time (a collector spares young ones), or
  mends what a damaged disk or a stray hand has made shorter or longer.
* A name is checked before it becomes a path: nothing outside the folder is ever reached.

fsspec is imported inside functions: local folders, nearly all of them, do without it.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self, cast
from urllib.parse import unquote, urlsplit

from phasenb.codecs.local_objects import LocalFiles
from phasenb.errors import BadMessage, UnknownObject

PREFIX = "sha256:"
_HASH = re.compile(r"^sha256:[0-9a-f]{64}$")


class Files(Protocol):
    """Where the bytes lie. ``name`` is the sha256 in hex."""

    def start(self) -> BinaryIO:
        """A new temporary file, open for writing; ``finish`` or ``drop`` ends it."""
        ...

    def finish(self, file: BinaryIO, name: str) -> None: ...
    def drop(self, file: BinaryIO) -> None: ...
    def open(self, name: str) -> BinaryIO:
        """Raises FileNotFoundError."""
        ...

    def touch(self, name: str, size: int | None = None) -> bool:
        """Whether the object is there, whole as far as its ``size`` tells; its time is renewed."""
        ...

    def has(self, name: str) -> bool: ...
    def local_path(self, name: str) -> Path | None: ...


class Upload(io.BufferedIOBase):
    """An object in the making: write, then ``commit``; leaving its ``with`` block without that drops it."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._file: BinaryIO | None = files.start()
        self._sha = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.size

    def write(self, data: Any, /) -> int:
        assert self._file is not None, "the upload is over"
        view = memoryview(data).cast("B") if not isinstance(data, bytes) else data
        self._file.write(view)
        self._sha.update(view)
        self.size += len(view)
        return len(view)

    def commit(self, expected: str | None = None) -> tuple[str, int]:
        """Make it an object: its name and size. Raises BadMessage where the bytes are not the ``expected`` ones."""
        assert self._file is not None, "the upload is over"
        name = self._sha.hexdigest()
        if expected not in (None, PREFIX + name):
            self.drop()
            raise BadMessage("the uploaded bytes are not what their hash says", {"hash": f"found {PREFIX}{name}"})
        file, self._file = self._file, None
        if self._files.touch(name, self.size):
            self._files.drop(file)
        else:
            self._files.finish(file, name)
        return PREFIX + name, self.size

    def drop(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            self._files.drop(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()


class ObjectFolder:
    """The objects of one owner. ``url``: a local path, ``file://...``, or any URL that fsspec knows."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._files = _files_at(url)

    def put(self, data: bytes) -> tuple[str, int]:
        """Store bytes: (``sha256:<hex>``, size)."""
        name = object_name(data)
        if self._files.touch(_name(name), len(data)):
            return name, len(data)
        return self.put_chunks([data])

    def put_chunks(self, chunks: Iterable[bytes]) -> tuple[str, int]:
        with self.upload() as upload:
            for chunk in chunks:
                upload.write(chunk)
            return upload.commit()

    def write(self, fill: Callable[[BinaryIO], None]) -> tuple[str, int]:
        """Store what ``fill`` writes into the file object that it is given; nothing is kept if it raises."""
        with self.upload() as upload:
            fill(cast(BinaryIO, upload))
            return upload.commit()

    def upload(self) -> Upload:
        """An object to be written piece by piece."""
        return Upload(self._files)

    def get(self, hash: str) -> bytes:
        """Raises UnknownObject."""
        with self.open(hash) as file:
            return file.read()

    def open(self, hash: str) -> BinaryIO:
        """Raises UnknownObject."""
        try:
            return self._files.open(_name(hash))
        except FileNotFoundError:
            raise UnknownObject(hash) from None

    def has(self, hash: str) -> bool:
        return _HASH.match(hash) is not None and self._files.has(_name(hash))

    def renew(self, hash: str) -> bool:
        """As ``has``, for whoever is about to name it: a collector takes it for new."""
        return _HASH.match(hash) is not None and self._files.touch(_name(hash))

    def local_path(self, hash: str) -> Path | None:
        """The object's file where the folder is local, else None. Raises UnknownObject."""
        if not self.has(hash):
            raise UnknownObject(hash)
        return self._files.local_path(_name(hash))


def object_name(data: bytes) -> str:
    """What bytes are called here."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def _name(hash: str) -> str:
    if _HASH.match(hash) is None:
        raise UnknownObject(hash)
    return hash.removeprefix(PREFIX)


def _files_at(url: str) -> Files:
    scheme = urlsplit(url).scheme
    if scheme == "file":
        return LocalFiles(Path(unquote(urlsplit(url).path)))
    if "://" not in url:
        return LocalFiles(Path(url))
    from phasenb.codecs.remote_objects import RemoteFiles

    return RemoteFiles(url)
