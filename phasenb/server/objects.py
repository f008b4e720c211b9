"""Objects by hash: an upload goes to disk as it comes in, a download as it is read. Nothing is held whole in memory."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tornado import web

from phasenb.errors import BadMessage, TooLarge
from phasenb.server.base import permitted
from phasenb.server.tasks import DownloadHandler
from phasenb.web.http_protocol import BYTES, KeptObject

_HEX = re.compile(r"[0-9a-f]{64}")
_WAITING_CHUNKS = 4  # of 64 KiB each, Tornado's read size


def _hash_of(text: str) -> str:
    if not _HEX.fullmatch(text):
        raise BadMessage("the path is not valid", {"sha256": "64 hexadecimal digits, in lower case, are required"})
    return f"sha256:{text}"


class Abandoned(Exception):
    """The bytes stop here: the connection is gone, or they are too many."""


class Upload:
    """Chunks handed from the connection, which waits while the disk is behind, to whoever keeps them."""

    def __init__(self, keep: Callable[[AsyncIterator[bytes]], Awaitable[KeptObject]], limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._over = False
        self._abandoned = False
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING_CHUNKS)
        self._kept = asyncio.create_task(self._keep(keep), name="phasenb upload")

    async def add(self, chunk: bytes) -> None:
        """Hand on a chunk. After the keeper has given up, or past the limit, it is read and thrown away."""
        self._size += len(chunk)
        if not self._over and self._size <= self._limit:
            await self._chunks.put(chunk)

    async def finish(self) -> KeptObject:
        """What the keeper answers. Raises what it raised, and TooLarge."""
        if self._size > self._limit:
            await self.drop()
            raise TooLarge(self._size, self._limit)
        if not self._over:
            await self._chunks.put(None)
        return await self._kept

    async def drop(self) -> None:
        """Have the keeper clear up what it has. Its source tells it: cancelled in a thread, it could not."""
        self._abandoned = True
        self._empty()
        if not self._over:
            await self._chunks.put(None)
        await asyncio.wait([self._kept])
        if not self._kept.cancelled():
            self._kept.exception()  # seen: nobody awaits it

    async def _keep(self, keep: Callable[[AsyncIterator[bytes]], Awaitable[KeptObject]]) -> KeptObject:
        try:
            return await keep(self._iterate())
        finally:
            self._over = True
            self._empty()

    async def _iterate(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks.get()) is not None:
            yield chunk
        if self._abandoned:
            raise Abandoned

    def _empty(self) -> None:
        """Throw away what waits; an ``add`` that waits for a place gets it."""
        while not self._chunks.empty():
            self._chunks.get_nowait()


class ObjectHandler(DownloadHandler):
    """``PUT`` (needs ``execute``), ``GET`` and ``HEAD`` of ``objects/{sha256 hex}``."""

    upload: Upload | None = None

    async def begin_body(self) -> None:
        """Before the body is read: the decorators of ``put`` come too late to keep bytes from the disk."""
        if self.request.method != "PUT":
            return
        api, identity, _ = await self.caller()
        await identity.require("execute")
        digest, limit = _hash_of(self.path_args[0]), self.phasenb.max_object_bytes
        announced = int(self.request.headers.get("Content-Length", "0"))
        if announced > limit:
            raise TooLarge(announced, limit)
        connection: Any = self.request.connection
        connection.set_max_body_size(limit + 1)  # the server's own bound is for bodies that stay in memory
        self.upload = Upload(lambda chunks: api.put_object(identity, digest, chunks), limit)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return super().data_received(chunk) if self.upload is None else self.upload.add(chunk)

    def on_connection_close(self) -> None:
        super().on_connection_close()
        if self.upload is not None:
            self._dropping = asyncio.ensure_future(self.upload.drop())

    @permitted("execute")
    async def put(self, digest: str) -> None:
        if self.upload is None:
            raise web.HTTPError(500, "the upload was not begun")
        kept = await self.upload.finish()
        self.set_status(201)
        self.answer(kept)

    @permitted("read")
    async def get(self, digest: str) -> None:
        api, identity, _ = await self.caller()
        await self.send(await api.open_object(identity, _hash_of(digest)), BYTES)

    @permitted("read")
    async def head(self, digest: str) -> None:
        api, identity, _ = await self.caller()
        if not await api.has_object(identity, _hash_of(digest)):
            self.set_status(404)
        self.finish(set_content_type=BYTES)
