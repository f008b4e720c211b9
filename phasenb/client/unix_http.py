"""HTTP over a UNIX socket, for urllib. Imported when a request is made: http.client takes its time."""

from __future__ import annotations

import socket
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.request import HTTPHandler, Request


class UnixConnection(HTTPConnection):
    """Over the socket at ``path``, whatever host the request names."""

    def __init__(self, path: str, host: str, **how: Any) -> None:
        super().__init__(host, **how)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class UnixHandler(HTTPHandler):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def http_open(self, req: Request) -> HTTPResponse:
        def connection(host: str, /, **how: Any) -> UnixConnection:
            return UnixConnection(self._path, host, **how)

        return self.do_open(connection, req)
