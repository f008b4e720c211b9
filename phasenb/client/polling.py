"""PollingLink: the socket's messages over HTTP, for where a proxy lets no WebSocket through.

Rules: messages are sent one after the other, as a later one may need an earlier one. They are fetched by a thread of
this link's own, which ends with the process. Whatever fails is a lost link, but for a message that is refused alone.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

from phasenb.client.backend import AFTER_FAILURE_S, FINAL_CLOSES, JsonObject, Lost, Receive
from phasenb.errors import AccessDenied, ConnectionGone, PhasenbError, ServerUnreachable

log = logging.getLogger(__name__)

Exchange = Callable[[str, bytes], bytes]
"""``exchange(path, body)`` -> the body of the answer to a POST. Blocks; raises PhasenbError."""


class PollingLink:
    """``path``: of the connection, which was opened. ``note``: what its user should know of it."""

    def __init__(self, exchange: Exchange, path: str, url: str, note: str, receive: Receive, lost: Lost) -> None:
        self.note = note
        self._exchange = exchange
        self._path = path
        self._url = url
        self._receive = receive
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._closed = False
        threading.Thread(target=self._fetch, name="phasenb polling", daemon=True).start()

    async def send(self, command: str | JsonObject) -> None:
        """As Link.send. Raises what was refused of this command alone: ProxyRefused, TooLarge."""
        assert isinstance(command, str)  # see Link.send
        async with self._turn:
            if self._closed:
                raise ConnectionError("the connection has ended")
            try:
                await asyncio.to_thread(self._exchange, f"{self._path}/send", command.encode())
            except (ConnectionGone, ServerUnreachable, AccessDenied) as error:
                self._end(error)
                raise ConnectionError(str(error)) from error

    async def close(self) -> None:
        self._closed = True

    def _fetch(self) -> None:
        """In a thread: until the link is closed or lost."""
        try:
            while not self._closed:
                try:
                    lines = self._exchange(f"{self._path}/receive", b"").splitlines()
                except PhasenbError as error:
                    self._loop.call_soon_threadsafe(self._end, error)
                    return
                if lines:
                    self._loop.call_soon_threadsafe(self._take, lines)
        except RuntimeError:
            return  # the loop was closed

    def _take(self, lines: list[bytes]) -> None:
        try:
            for line in lines:
                if not self._closed:
                    self._receive(line)
        except Exception:
            # Of our own making: a fresh link, and fresh snapshots, may do. Not at once, as it may happen again.
            log.exception("a message of %s could not be taken", self._url)
            self._loop.call_later(AFTER_FAILURE_S, self._end, ServerUnreachable(self._url, "a message was not taken"))

    def _end(self, error: PhasenbError) -> None:
        if self._closed:
            return
        self._closed = True
        if isinstance(error, ConnectionGone) and error.close_code in FINAL_CLOSES:
            error = AccessDenied(self._url, FINAL_CLOSES[error.close_code])
        self._lost(str(error), error if isinstance(error, AccessDenied) else None)
