"""How urllib connects: over TCP, TLS or a UNIX socket, and a server that refuses a body unread is heard all the same.

Imported when a request is made: http.client takes its time.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.request import HTTPHandler, HTTPSHandler, Request


class PlainConnection(HTTPConnection):
    """Reads the answer also where the server closed before it had the whole request: it says why."""

    def endheaders(self, message_body: Any = None, *, encode_chunked: bool = False) -> None:
        if self.sock is None:
            self.connect()  # which sending would do: its failures are no refusal
        with suppress(BrokenPipeError, ConnectionResetError):
            super().endheaders(message_body, encode_chunked=encode_chunked)


class SecureConnection(PlainConnection, HTTPSConnection): ...


class UnixConnection(PlainConnection):
    """Over the socket at ``path``, whatever host the request names."""

    def __init__(self, path: str, host: str, **how: Any) -> None:
        super().__init__(host, **how)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class PlainHandler(HTTPHandler):
    """``path``: the UNIX socket of the server, whatever its URL names."""

    def __init__(self, path: str | None = None) -> None:
        super().__init__()
        self._path = path

    def http_open(self, req: Request) -> HTTPResponse:
        def connection(host: str, /, **how: Any) -> HTTPConnection:
            return PlainConnection(host, **how) if self._path is None else UnixConnection(self._path, host, **how)

        return self.do_open(connection, req)


class SecureHandler(HTTPSHandler):
    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(SecureConnection, req)
