"""What an HTTP status means that phasenb itself did not answer: it is Jupyter's, or that of a proxy before it. Pure."""

from __future__ import annotations

from http import HTTPStatus

from phasenb.errors import AccessDenied, PhasenbError, ProxyRefused, ServerUnreachable

NO_EXTENSION = "it has no phasenb extension: install phasenb where the Jupyter server runs, and start it again"

_OF_PROXIES = {
    413: "the request is larger than it takes (nginx: client_max_body_size)",
    414: "the request is larger than it takes",
    502: "it has no connection to the server: that is down, or still starting",
    503: "the server is down, still starting, or busy",
    504: "the server did not answer within the proxy's time (nginx: proxy_read_timeout)",
}


def refusal(url: str, status: int, user: str | None = None) -> PhasenbError:
    """The error for a status. ``user``: as whom the server knows the caller, where it does."""
    if status in (401, 403):
        return AccessDenied(url, status, user=user)
    if status == 404:
        return ServerUnreachable(url, NO_EXTENSION)
    if status in _OF_PROXIES:
        return ProxyRefused(url, status, _OF_PROXIES[status])
    return ServerUnreachable(url, f"it answers {status} {_phrase(status)}".rstrip())


def blocked_note(url: str, cause: str) -> str:
    """What to tell, once, where messages come by HTTP. ``cause``: what became of the socket."""
    return (
        f"live updates are blocked between here and {url}: {cause}. Tasks are shown by HTTP instead, a little later "
        'and slower; docs/proxy.md has what a proxy needs ("Behind a proxy")'
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
