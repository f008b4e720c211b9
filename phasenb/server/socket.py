"""``{base_url}phasenb/ws``: the Tornado shell around WebSocketMessageHandler.

Rules: who is not authenticated, not authorised to ``read``, or of a foreign origin gets 403 before the upgrade; frames
are taken one after the other, so a client can't make the server hold more than one.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, cast

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.websocket import WebSocketMixin
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado.iostream import IOStream, StreamClosedError
from tornado.web import HTTPError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from phasenb.config.settings import WebSocketSettings
from phasenb.errors import PhasenbError
from phasenb.server.identities import RESOURCE, LastingHandler
from phasenb.web.connection import Frame, text_of
from phasenb.web.message_handler import WebSocketMessageHandler, refusal

if TYPE_CHECKING:
    from phasenb.server.app import PhaseNB


_FINAL_TEXT = 0x81  # FIN, and the opcode of text
_TOGETHER_BYTES = 65_536


class TornadoConnection:
    """web.connection.Connection over an open socket.

    Frames go into the stream as bytes that are put together here, since Tornado's ``write_message`` starts an asyncio
    task for each. The first one of a turn of the loop is written at once, the others of that turn with one call.
    """

    def __init__(self, socket: WebSocketHandler) -> None:
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._compressed = socket.get_compression_options() is not None
        self._turning = False  # a frame of this turn was written already
        self._held: list[bytes] = []
        self._held_bytes = 0

    def write(self, frame: Frame) -> Awaitable[None] | None:
        stream = self._stream()
        if stream is None:
            raise ConnectionError("the socket is closed")
        if self._compressed:  # by Tornado, for each connection by itself
            written: Awaitable[None] = self._socket.write_message(text_of(frame))
            return _sent(written) if stream.writing() else None
        data = text_frame(text_of(frame).encode())
        self._held.append(data)
        self._held_bytes += len(data)
        if self._turning and self._held_bytes < _TOGETHER_BYTES and not stream.writing():
            return None
        if not self._turning:
            self._turning = True
            self._loop.call_soon(self._end_turn)
        written = self._flush(stream)
        # Where the kernel took it all, to wait for that would cost each frame two turns of the loop.
        return _sent(written) if stream.writing() else None

    @property
    def taken(self) -> int:
        stream = self._stream()
        # Tornado tells when a whole frame is gone only, and one of some megabytes may take a slow client minutes.
        return 0 if stream is None else stream._total_write_done_index

    def close(self, code: int, reason: str) -> None:
        self._end_turn()
        self._socket.close(code, reason[:100])  # RFC 6455: 123 bytes at most

    def _stream(self) -> IOStream | None:
        """The open stream."""
        connection = self._socket.ws_connection
        stream = None if connection is None or connection.is_closing() else connection.stream
        return None if stream is None or stream.closed() else stream

    def _end_turn(self) -> None:
        self._turning = False
        stream = self._stream()
        if stream is not None and self._held:
            self._flush(stream)

    def _flush(self, stream: IOStream) -> Awaitable[None]:
        """``stream`` is open."""
        data = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._held.clear()
        self._held_bytes = 0
        return stream.write(data)


def text_frame(payload: bytes) -> bytes:
    """A whole text message as a server sends it: in one frame, unmasked (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        head = bytes((_FINAL_TEXT, size))
    elif size < 65_536:
        head = struct.pack("!BBH", _FINAL_TEXT, 126, size)
    else:
        head = struct.pack("!BBQ", _FINAL_TEXT, 127, size)
    return head + payload


async def _sent(written: Awaitable[None]) -> None:
    try:
        await written
    except (WebSocketClosedError, StreamClosedError) as error:
        raise ConnectionError("the socket is closed") from error


class PhaseSocket(ExtensionHandlerMixin, WebSocketMixin, WebSocketHandler, LastingHandler):
    auth_resource = RESOURCE
    messages: WebSocketMessageHandler | None = None
    problem: PhasenbError | None = None

    @property
    def phasenb(self) -> PhaseNB:
        return cast("PhaseNB", self.extensionapp)

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        allowed = self.authorizer.is_authorized(self, self.current_user, "read", RESOURCE)
        if not await ensure_async(allowed):
            raise HTTPError(403, f"{RESOURCE}: not authorised to read")
        await self.phasenb.ready()
        await super().get(*args, **kwargs)

    def open(self, *args: Any, **kwargs: Any) -> None:
        super().open(*args, **kwargs)
        self.set_nodelay(True)  # else a reply after an event waits for the client's delayed ACK, 40 ms on Linux
        try:
            host, _ = self.phasenb.running()
        except PhasenbError as error:
            self.problem = error
            return
        identity = self.lasting_identity(owner=self.phasenb.owner, allow_code=host.settings.allow_code)
        server = f"phasenb/{self.phasenb.version}"
        self.messages = WebSocketMessageHandler(
            TornadoConnection(self), host.manager, host.hub, identity, server=server
        )
        self.messages.opened()

    async def on_message(self, message: str | bytes) -> None:
        if self.messages is not None:
            await self.messages.receive(message)
        elif self.problem is not None:
            self.write_message(refusal(message, self.problem))

    def on_close(self) -> None:
        if self.messages is not None:
            self.messages.closed()
        super().on_close()

    @property
    def max_message_size(self) -> int:
        """Tornado closes with 1009 past this."""
        return self._limits.max_frame_bytes

    def get_compression_options(self) -> dict[str, Any] | None:
        return {} if self._limits.compression else None

    @property
    def _limits(self) -> WebSocketSettings:
        host = self.phasenb.host
        return host.settings.websocket if host is not None else WebSocketSettings()
