"""``{base_url}phasenb/ws``: the Tornado shell around WebSocketMessageHandler.

Rules: who is not authenticated, not authorised to ``read``, or of a foreign origin gets 403 before the upgrade; frames
are taken one after the other, so a client can't make the server hold more than one.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, cast

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado.web import HTTPError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from phasenb.config.settings import WebSocketSettings
from phasenb.errors import PhasenbError
from phasenb.server.identities import RESOURCE, identity_of
from phasenb.web.connection import Frame, text_of
from phasenb.web.message_handler import WebSocketMessageHandler, refusal

if TYPE_CHECKING:
    from phasenb.server.app import PhaseNB


class TornadoConnection:
    """web.connection.Connection over an open socket."""

    def __init__(self, socket: WebSocketHandler) -> None:
        self._socket = socket

    def write(self, frame: Frame) -> Awaitable[None] | None:
        try:
            written = self._socket.write_message(text_of(frame))
        except WebSocketClosedError as error:
            raise ConnectionError("the socket is closed") from error
        connection = self._socket.ws_connection
        stream = connection.stream if connection is not None else None
        if stream is not None and not stream.writing():
            return None  # the kernel took it all: to wait for that would cost each frame two turns of the loop
        return _sent(written)

    def close(self, code: int, reason: str) -> None:
        self._socket.close(code, reason[:100])  # RFC 6455: 123 bytes at most


async def _sent(written: Awaitable[None]) -> None:
    try:
        await written
    except WebSocketClosedError as error:
        raise ConnectionError("the socket is closed") from error


class PhaseSocket(ExtensionHandlerMixin, WebSocketMixin, WebSocketHandler, JupyterHandler):
    auth_resource = RESOURCE
    messages: WebSocketMessageHandler | None = None
    problem: PhasenbError | None = None

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        super().initialize(*args, **kwargs)
        self._unasked = dict(self.__dict__)

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
        identity = identity_of(
            self, owner=self.phasenb.owner, allow_code=host.settings.allow_code, unasked=self._unasked
        )
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
