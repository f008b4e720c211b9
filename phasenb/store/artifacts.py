"""Artifacts: one folder of content-named objects for each owner, below one URL.

Rules: owners share nothing, not even equal bytes; an owner's name becomes a folder's name that no other owner can have;
a local folder is one store's, whose epoch it holds, since what that store does not name is removed from it.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Collection
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import BinaryIO

from phasenb.codecs.local_objects import LocalFiles
from phasenb.codecs.objects import PREFIX, ObjectFolder
from phasenb.config.places import create_private, expanded, make_private_folder
from phasenb.errors import StoreUnavailable

CHUNK_BYTES = 1024 * 1024
_EPOCH_FILE = ".phasenb-epoch"
_FOLDER = re.compile(r".*-[0-9a-f]{16}")
_RENEWED_S = 5.0  # so much less than a collector spares that a moment more or less is nothing
_MOST_RENEWED = 1000
_UPLOAD_BYTES = 4 * CHUNK_BYTES  # what one hop to a thread is worth


@lru_cache
def _folder_name(owner: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9_.-]", "_", owner)[:40].strip(".")
    return f"{readable}-{hashlib.sha256(owner.encode()).hexdigest()[:16]}"


class Artifacts:
    """``url``: a local path or an fsspec URL; None: a temporary folder that ``close`` removes."""

    def __init__(self, url: str | None) -> None:
        self._temporary = tempfile.mkdtemp(prefix="phasenb-") if url is None else None
        base = self._temporary or url or ""
        # Workers run in other directories, where a relative path would be another folder.
        self.url = base if "://" in base else str(expanded(base).absolute())
        self._folders: dict[str, ObjectFolder] = {}
        self._renewed: dict[tuple[str, str], float] = {}  # when, by owner and hash

    def url_of(self, owner: str) -> str:
        return f"{self.url}/{_folder_name(owner)}"

    def folder(self, owner: str) -> ObjectFolder:
        folder = self._folders.get(owner)
        if folder is None:
            folder = self._folders[owner] = ObjectFolder(self.url_of(owner))
        return folder

    async def put(self, owner: str, chunks: AsyncIterator[bytes], expected_hash: str) -> int:
        """Store uploaded bytes. Raises BadMessage where they are not what ``expected_hash`` says."""
        expected = expected_hash if expected_hash.startswith(PREFIX) else PREFIX + expected_hash
        upload = await asyncio.to_thread(self.folder(owner).upload)
        try:
            waiting = bytearray()
            async for chunk in chunks:
                waiting += chunk
                if len(waiting) >= _UPLOAD_BYTES:
                    full, waiting = waiting, bytearray()
                    await asyncio.to_thread(upload.write, full)
            await asyncio.to_thread(upload.write, waiting)
            _, size = await asyncio.to_thread(upload.commit, expected)
        finally:
            await asyncio.shield(asyncio.to_thread(upload.drop))
        return size

    async def has(self, owner: str, hash: str) -> bool:
        # Whoever asks is about to name it and does not send it: it must be there as long as if they had.
        if monotonic() - self._renewed.get((owner, hash), -math.inf) < _RENEWED_S:
            return True  # a launcher's variables are asked for at each of its launches
        there = await asyncio.to_thread(self.folder(owner).renew, hash)
        if there:
            if len(self._renewed) >= _MOST_RENEWED:
                self._renewed.clear()
            self._renewed[owner, hash] = monotonic()
        return there

    async def read(self, owner: str, hash: str) -> AsyncIterator[bytes]:
        """The bytes in chunks of at most 1 MiB. Raises UnknownObject."""
        file: BinaryIO = await asyncio.to_thread(self.folder(owner).open, hash)
        try:
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield chunk
        finally:
            file.close()

    def claim(self, epoch: str, store: str, *, after: str | None = None) -> None:
        """Make the folder this store's, or know that it is. ``after``: the epoch of whose folder it may be so far.

        Raises StoreUnavailable where it is another's.
        """
        if self._mark is None:
            return  # nothing is ever removed from a folder elsewhere
        mark = f"{epoch}\n{store}\n"
        try:
            found = _written_once(self._mark, mark)
            if found.partition("\n")[0] in (epoch, after) and found != mark:
                _write_whole(self._mark, mark).replace(self._mark)
                return
        except OSError as error:
            raise self._unusable(error, store) from error
        if found != mark:
            raise self._taken(store)

    def check_left(self, epoch: str, store: str) -> None:
        """Raises StoreUnavailable unless the folder is nobody's, or that of a store of this epoch that is gone from its
        place: where that is not known, or not there to be looked at, it may be alive.
        """
        if self._mark is None:
            return
        try:
            found, _, place = self._mark.read_text().partition("\n")
            if found != epoch:
                raise self._taken(store)
            told = _not_gone(place.strip(), self._mark)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unusable(error, store) from error
        if told is not None:
            raise StoreUnavailable(store, f"its artifacts folder {self.url} {told}")

    @property
    def _mark(self) -> Path | None:
        """The file that names the store whose folder this is: its epoch, and where it was opened last."""
        return None if "://" in self.url or self._temporary is not None else Path(self.url) / _EPOCH_FILE

    def _unusable(self, error: OSError, store: str) -> StoreUnavailable:
        problem = f"its artifacts folder {self.url} can't be used ({error.strerror}): see store.artifacts"
        return StoreUnavailable(store, problem)

    def _taken(self, store: str) -> StoreUnavailable:
        problem = (
            f"its artifacts folder {self.url} belongs to another store: set store.artifacts to a folder of its own "
            "(or remove that folder, if its store is gone and nobody needs what is in it)"
        )
        return StoreUnavailable(store, problem)

    def not_renewed_since(self, before: float) -> set[str]:
        """The names (hex) of local objects that nobody renewed since ``before``; those elsewhere stay."""
        return {name for folder in self._local_folders() for name in LocalFiles(folder).not_renewed_since(before)}

    def remove(self, names: Collection[str], before: float) -> int:
        """Remove local objects, of whichever owner, that were not renewed since ``before``; how many."""
        folders = [LocalFiles(folder) for folder in self._local_folders()]
        return sum(folder.remove(name, before) for folder in folders for name in names)

    def _local_folders(self) -> list[Path]:
        base = Path(self.url)
        if "://" in self.url or not base.is_dir():
            return []
        return [folder for folder in base.iterdir() if _FOLDER.fullmatch(folder.name) and folder.is_dir()]

    def close(self) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


def _not_gone(place: str, mark: Path) -> str | None:
    """Why a folder can't be taken over from the store at ``place``, or None where that is gone. Raises OSError."""
    if not place:
        return (
            "does not say where its store is, as an earlier release made it: open that store once with this release, "
            f"or, if it is gone, remove {mark}"
        )
    if not Path(place).parent.is_dir():
        return (
            f"is that of {place}, whose folder is not there: mount the disk that it is on, or, if that store is gone, "
            f"remove {mark}"
        )
    if Path(place).exists():
        return (
            f"is that of {place}: set store.artifacts to another folder, or move that store away if this one is to "
            "take its place"
        )
    return None


def _written_once(file: Path, text: str) -> str:
    """Write a file whole, unless it is there; what is in it."""
    make_private_folder(file.parent)
    if not file.exists():
        whole = _write_whole(file, text)
        try:
            os.link(whole, file)
        except FileExistsError:
            pass  # another host of this moment was quicker
        except OSError:  # a file system without hard links
            whole.replace(file)
        whole.unlink(missing_ok=True)
    return file.read_text()


def _write_whole(file: Path, text: str) -> Path:
    """Write a file that is about to be put in another's place; where it is."""
    whole = file.with_name(f"{file.name}.{uuid.uuid4().hex}")
    with create_private(whole) as begun:
        begun.write(text.encode())
    return whole
