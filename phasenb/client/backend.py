"""What a client needs of the other side: a link for messages, and calls for what is too big or too old for it.

Two fulfil it: HttpBackend reaches a Jupyter server, EmbeddedBackend a host in this process. Rules: both carry the same
messages, the one as JSON text, the other as they are; ``receive`` and ``lost`` are called on the loop that ``connect``
was awaited on, frames in order, and nothing more after ``lost``; errors are those of phasenb.errors.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from phasenb.errors import PhasenbError
from phasenb.web.message_protocol import ServerMessage

if TYPE_CHECKING:
    import pandas as pd

    from phasenb.codecs.objects import ObjectFolder
    from phasenb.store.frames import Aside
    from phasenb.store.lazy import Load
    from phasenb.store.view import MemoryView

JsonObject = dict[str, Any]
FINAL_CLOSES = {4001: 401, 4003: 403}  # authentication expired, no longer authorised (protocol.md)
AFTER_FAILURE_S = 1.0  # before a link is called lost whose message a client could not take: it may happen again
Receive = Callable[[str | bytes | ServerMessage], None]
Lost = Callable[[str, PhasenbError | None], None]
"""``lost(reason, final)``: the link is gone; ``final`` is the error that makes another try useless, if there is one."""


class Link(Protocol):
    """An open way for frames. ``note``: what its user should know of it, if anything."""

    @property
    def note(self) -> str | None: ...

    async def send(self, command: str | JsonObject) -> None:
        """``command`` as JSON text; as it is where the backend is ``embedded``.

        Raises ConnectionError once the link is gone; ``lost`` is called then too.
        """
        ...

    async def close(self) -> None:
        """Idempotent. ``lost`` is not called for it."""
        ...


class Backend(Protocol):
    """``url`` is what errors and displays call it. ``embedded``: it lives and dies with this process."""

    @property
    def url(self) -> str: ...

    @property
    def embedded(self) -> bool: ...

    async def connect(self, receive: Receive, lost: Lost) -> Link:
        """Raises ServerUnreachable, AccessDenied; StoreUnavailable and ConfigError of an embedded host."""
        ...

    async def events(self, task_id: str, after_seq: int) -> JsonObject:
        """``{"events": [event], "next"}``, a page. Raises UnknownTask."""
        ...

    async def logs(self, task_id: str, after: int) -> JsonObject:
        """``{"lines": [line], "next"}``, a page. Raises UnknownTask."""
        ...

    async def source(self, task_id: str, phase: str, attempt: int | None) -> JsonObject:
        """A web.http_protocol.PhaseSource. Raises UnknownTask, NotThere."""
        ...

    async def results(self, *, task_id: str | None = None, session: str | None = None) -> JsonObject:
        """``{"results": [{"task_id", ...}]}``. Raises UnknownTask."""
        ...

    async def results_frame(
        self, load: Load, *, task_id: str | None, session: str | None, last: bool, flatten: bool, aside: Aside
    ) -> pd.DataFrame:
        """The results frame (memory.frames), made off the loop; ``load`` decodes references. Raises UnknownTask."""
        ...

    def input_folder(self) -> ObjectFolder | None:
        """Where inputs may be written straight away, the host's own folder; None: upload them. After ``connect``."""
        ...

    def upload(self, hash: str, path: Path) -> None:
        """Give the host an object, streamed, if it does not have it. Blocks."""
        ...

    def download(self, hash: str, folder: ObjectFolder) -> None:
        """Bring an object into a local folder, streamed. Blocks. Raises UnknownObject."""
        ...

    async def memory(self, owner: str, session: str) -> MemoryView:
        """The store's frames, read in this process. Raises StoreUnavailable where it can't be reached from here."""
        ...

    async def aclose(self) -> None: ...
