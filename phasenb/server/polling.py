"""The socket's frames over HTTP, for clients behind a proxy that lets no WebSocket through.

Rules: each request is authenticated and asked for ``read`` as the socket's handshake is, and each command by itself; a
connection serves the user who opened it. That an open page asks for news is not the activity that keeps a server alive.
"""

from __future__ import annotations

from phasenb.server.base import PhaseHandler, permitted
from phasenb.server.identities import LastingHandler
from phasenb.web.http_protocol import LINES, OpenedConnection
from phasenb.web.message_handler import WebSocketMessageHandler
from phasenb.web.polling import WAIT_S, PolledConnection, PolledConnections


class ConnectionsHandler(PhaseHandler, LastingHandler):
    @permitted("read")
    async def post(self) -> None:
        await self.caller()
        host, _ = self.phasenb.running()
        identity = self.lasting_identity(owner=self.phasenb.owner, allow_code=host.settings.allow_code)

        def messages(connection: PolledConnection) -> WebSocketMessageHandler:
            server = f"phasenb/{self.phasenb.version}"
            return WebSocketMessageHandler(connection, host.manager, host.hub, identity, server=server)

        name = self.phasenb.polled.open((identity.owner, identity.name), messages)
        self.set_status(201)
        self.answer(OpenedConnection(connection=name, wait_s=WAIT_S))


class PolledHandler(PhaseHandler):
    async def opened(self) -> tuple[PolledConnections, tuple[str, str]]:
        """The host's connections, and who asks."""
        _, identity, _ = await self.caller()
        return self.phasenb.polled, (identity.owner, identity.name)


class SendHandler(PolledHandler):
    @permitted("read")
    async def post(self, connection: str) -> None:
        polled, user = await self.opened()
        await polled.of(connection, user).receive(self.received())
        self.set_status(204)
        self.finish()


class ReceiveHandler(PolledHandler):
    def update_api_activity(self) -> None:
        """Nobody did anything."""

    @permitted("read")
    async def post(self, connection: str) -> None:
        polled, user = await self.opened()
        frames = await polled.fetch(connection, user)
        self.set_header("Content-Type", LINES)
        self.finish("\n".join(frames), set_content_type=LINES)
