"""Redirects, which are followed within one origin only: a token is for the server that it was given for (RFC 6454).

Imported when a connection is made: urllib.request and websockets take their time.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, Request

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from phasenb.errors import AccessDenied

if TYPE_CHECKING:
    from http.client import HTTPMessage

_SECURE = {"http": False, "ws": False, "https": True, "wss": True}
Origin = tuple[bool | None, str | None, int | None]


def origin_of(url: str) -> Origin:
    """Equal for a page and a socket of the same server."""
    parts = urlsplit(url)
    secure = _SECURE.get(parts.scheme)
    return secure, parts.hostname, parts.port or (443 if secure else 80)


def denied_redirect(url: str, status: int, location: str | None) -> AccessDenied | None:
    """Why an answer of the server at ``url`` is not followed; None where it leads nowhere else."""
    if not 300 <= status < 400 or location is None:
        return None
    target = urljoin(url, location)
    return None if origin_of(target) == origin_of(url) else AccessDenied(url, status, target)


class SameOriginRedirects(HTTPRedirectHandler):
    """urllib's own would send the token along, wherever it is led."""

    def __init__(self, url: str) -> None:
        self._url = url

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        denied = denied_redirect(self._url, code, newurl)
        if denied is not None:
            raise denied
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class SameOriginConnect(connect):
    """websockets' own goes on without the token, or (before 15) with it."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        if isinstance(exc, InvalidStatus):
            response = exc.response
            if denied_redirect(self.uri, response.status_code, response.headers.get("Location")):
                return exc
        return super().process_redirect(exc)
