"""Artifacts: one folder of content-named objects for each owner, below one URL.

Rule: owners share nothing, not even equal bytes; an owner's name becomes a folder's name that no other owner can have.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Collection
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from phasenb.codecs.local_objects import LocalFiles
from phasenb.codecs.objects import PREFIX, ObjectFolder

CHUNK_BYTES = 1024 * 1024
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
        self.url = base if "://" in base else str(Path(base).expanduser().absolute())
        self._folders: dict[str, ObjectFolder] = {}

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
        return await asyncio.to_thread(self.folder(owner).has, hash)

    async def read(self, owner: str, hash: str) -> AsyncIterator[bytes]:
        """The bytes in chunks of at most 1 MiB. Raises UnknownObject."""
        file: BinaryIO = await asyncio.to_thread(self.folder(owner).open, hash)
        try:
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield chunk
        finally:
            file.close()

    def older_than(self, grace_s: float) -> set[str]:
        """The names (hex) of local objects that nobody renewed for ``grace_s`` seconds; those elsewhere stay."""
        if "://" in self.url:
            return set()
        return {name for folder in self._local_folders() for name in LocalFiles(folder).older_than(grace_s)}

    def remove(self, names: Collection[str], grace_s: float) -> int:
        """Remove local objects, of whichever owner, that were not renewed meanwhile; how many."""
        folders = [LocalFiles(folder) for folder in self._local_folders()]
        return sum(folder.remove(name, grace_s) for folder in folders for name in names)

    def _local_folders(self) -> list[Path]:
        base = Path(self.url)
        return [folder for folder in base.iterdir() if folder.is_dir()] if base.is_dir() else []

    def close(self) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
