"""NestedBackend: the host of the task whose phase this code runs in, over that attempt's own line (core.parent)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from phasenb.client.answers import Answers
from phasenb.client.backend import JsonObject, Link, Lost, Receive
from phasenb.client.store_reader import StoreReader
from phasenb.codecs.objects import ObjectFolder
from phasenb.core.parent import ParentTask
from phasenb.errors import StoreUnavailable

if TYPE_CHECKING:
    from phasenb.store.view import MemoryView


class NestedBackend(Answers):
    embedded = False

    def __init__(self, parent: ParentTask) -> None:
        self._parent = parent
        self._folder = ObjectFolder(parent.objects_url)
        self._reader = StoreReader()

    @property
    def url(self) -> str:
        return self._parent.lineage.url

    async def connect(self, receive: Receive, lost: Lost) -> Link:
        loop = asyncio.get_running_loop()
        parent = self._parent

        def post(call: Callable[..., object], *args: object) -> None:
            with suppress(RuntimeError):  # the client's loop is closed: nobody is left to be told
                loop.call_soon_threadsafe(call, *args)

        def ended(reason: str) -> None:
            post(lost, reason, parent.gone() if parent.over else None)

        return _NestedLink(parent, parent.open(lambda frame: post(receive, frame), ended))

    def input_folder(self) -> ObjectFolder | None:
        return self._folder

    def upload(self, hash: str, path: Path) -> None:
        raise AssertionError("a phase's inputs are written into its owner's own folder")

    def download(self, hash: str, folder: ObjectFolder) -> None:
        raise AssertionError("a phase's objects are read from its owner's own folder")

    async def memory(self, owner: str, session: str) -> MemoryView:
        """The host's store, which is only read. Raises StoreUnavailable for one in memory."""
        place = (await self._asked("health")).get("store")
        if not place:
            raise StoreUnavailable(f"of {self.url}", "it is in its host's memory: pn.tasks() gives the same frame")
        return await self._reader.view(place, owner, session)

    async def aclose(self) -> None:
        await self._reader.close()

    async def _asked(self, name: str, **arguments: Any) -> JsonObject:
        answer: bytes = await asyncio.wrap_future(self._parent.call(name, **arguments))
        return dict(orjson.loads(answer))


class _NestedLink:
    note = None

    def __init__(self, parent: ParentTask, number: int) -> None:
        self._parent = parent
        self._number = number

    async def send(self, command: str | JsonObject) -> None:
        assert isinstance(command, str)  # see Link.send
        self._parent.frame(self._number, command.encode())

    async def close(self) -> None:
        self._parent.close(self._number)
