"""Standing: whether who opened a connection may still stay on it (protocol.md, close codes 4001 and 4003).

Rules: asked again every ``every_s``, as a login may expire and a right be taken away while nobody says anything; a
command that is refused for want of ``read``, or as the login has ended, tells as much. What can't be told closes
nothing.
"""

from __future__ import annotations

import asyncio
import logging

from phasenb.errors import AuthenticationExpired, Forbidden
from phasenb.web.connection import Outbox
from phasenb.web.identity import Identity

log = logging.getLogger(__name__)

ASK_EVERY_S = 60.0
AUTHENTICATION_EXPIRED = 4001
NO_LONGER_AUTHORISED = 4003


class Standing:
    """Of one connection that said hello; on the loop."""

    def __init__(self, identity: Identity, outbox: Outbox, every_s: float = ASK_EVERY_S) -> None:
        self._identity = identity
        self._outbox = outbox
        self._every_s = every_s
        self._timer: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._ask_soon)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()

    def refused(self, error: Exception) -> None:
        """A command was refused, and its answer is on its way."""
        if isinstance(error, AuthenticationExpired):
            self._end(AUTHENTICATION_EXPIRED, error)
        elif isinstance(error, Forbidden) and error.action == "read":
            self._end(NO_LONGER_AUTHORISED, error)

    def _end(self, code: int, error: Exception) -> None:
        if self._asking is None:
            closing = self._outbox.close_when_sent(code, str(error))
            self._asking = asyncio.get_running_loop().create_task(closing, name="phasenb no longer authorised")

    def _ask_soon(self) -> None:
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask(), name="phasenb standing")

    async def _ask(self) -> None:
        try:
            if not await self._identity.known():
                self._outbox.close(AUTHENTICATION_EXPIRED, "the authentication has expired")
            elif not await self._identity.may("read", None):
                self._outbox.close(NO_LONGER_AUTHORISED, "no longer authorised to read")
        except Exception:  # a provider or authorizer of the server's own may raise anything
            log.exception("whether a client may stay can't be told now; it is asked again")
        self._asking = None
        if not self._outbox.closed:
            self.start()
