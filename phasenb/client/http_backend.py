"""HttpBackend: a Jupyter server with the extension, over its websocket and its HTTP paths, by TCP or by UNIX socket.

Rules: the token goes in a header, never in a URL that might be logged; a loopback address is never asked through a
proxy; objects are streamed, so one of any size takes a few buffers of memory. ``websockets`` and the standard library's
HTTP are imported when a server is first reached, as plain `import phasenb` needs neither.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import re
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self, cast
from urllib.parse import parse_qs, quote, urlencode, urlsplit, urlunsplit

import orjson

from phasenb.client.backend import AFTER_FAILURE_S, FINAL_CLOSES, JsonObject, Link, Lost, Receive
from phasenb.client.store_reader import StoreReader
from phasenb.errors import AccessDenied, PhasenbError, ProxyRefused, ServerUnreachable, StoreUnavailable, from_wire
from phasenb.web.http_protocol import ARROW, JSON

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from http.client import HTTPResponse
    from urllib.request import BaseHandler, Request

    import pandas as pd
    from websockets.asyncio.client import ClientConnection

    from phasenb.codecs.objects import ObjectFolder
    from phasenb.store.frames import Aside
    from phasenb.store.lazy import Load
    from phasenb.store.view import MemoryView

log = logging.getLogger(__name__)

# It logs each frame, for whoever has all of logging at DEBUG; a frame may hold secrets.
_quiet = logging.getLogger("phasenb.websockets")
_quiet.setLevel(logging.INFO)

TIMEOUT_S = 30.0
_PAGE = re.compile(r"/(?:lab|tree|notebooks|doc|edit|consoles)(?:/|$)")  # of Jupyter's pages, below its base URL
_BLOCK = 1 << 20
_TRUST = "SSL_CERT_FILE=PATH names its certificate, or the one of whoever signed it"
_CUT = "the connection was cut in the middle of an answer"
_NOT_OURS = "what answers there is no phasenb server"
_SETTLE_S = 1.0  # after a gateway's error: the server may have been starting
_OPENING_S = 10.0
# Jupyter asks for it where an identity provider does not say that a token let the caller in. What no page can set is a
# proof that no page sent it, whatever it is (OWASP: "Double Submit Cookie").
_NO_PAGE = {"Cookie": "_xsrf=" + "0" * 32, "X-XSRFToken": "0" * 32}


def parse_url(url: str, token: str | None = None) -> tuple[str, str]:
    """(base url that ends with a slash, token) of what a person pastes, ``http://host:8888/lab?token=...`` included.

    Raises ServerUnreachable for what is no http(s) URL.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ServerUnreachable(url, "a URL starts with http:// or https:// and a host")
    given = parse_qs(parts.query).get("token", [""])[0]
    path = _PAGE.split(parts.path, maxsplit=1)[0].rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, f"{path}/", "", "")), token or given


class _Body:
    """The body of an answer, as a file: a connection that breaks while it is read is ServerUnreachable too."""

    closed = False

    def __init__(self, response: HTTPResponse, url: str) -> None:
        self._response = response
        self._url = url
        self.headers = response.headers
        self.url = response.geturl()

    def read(self, size: int = -1) -> bytes:
        from http.client import HTTPException

        try:
            data = self._response.read() if size < 0 else self._response.read(size)
        except (OSError, HTTPException) as error:
            raise _unreachable(self._url, error) from None
        if size > 0 and not data and self._response.length:  # http.client takes that for the end
            raise ServerUnreachable(self._url, _CUT)
        return data

    def close(self) -> None:
        self._response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


class HttpBackend:
    """``base``: the server's base URL as it is (of what a person pastes ``parse_url`` finds it); ``token`` may be empty
    where the server asks for none.
    """

    embedded = False
    socket_path: str | None = None

    def __init__(self, base: str, token: str | None = None) -> None:
        self._base, self._token = f"{base.rstrip('/')}/", token
        self._url = self._base
        self._reader = StoreReader()

    @classmethod
    def over_socket(cls, path: str, base_url: str, *, url: str) -> HttpBackend:
        """A server over its UNIX socket at ``path`` (server.own_socket), which needs no name, proxy, certificate or
        token. ``url`` is what people call that server.
        """
        backend = cls(f"http://localhost{base_url}")
        backend.socket_path, backend._url = path, url
        return backend

    @property
    def url(self) -> str:
        return self._url

    # --- the socket ------------------------------------------------------------------------------------------------

    async def connect(self, receive: Receive, lost: Lost) -> Link:
        from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus

        from phasenb.client.redirects import denied_redirect

        try:
            socket = await self._upgraded()
        except InvalidStatus as error:
            status, location = error.response.status_code, error.response.headers.get("Location")
            denied = denied_redirect(self._base, status, location)
            if denied is not None:
                raise denied from None
            return await self._without_socket(f"the WebSocket was answered with {status}", status, receive, lost)
        except TimeoutError:
            return await self._without_socket("the WebSocket was not answered in time", None, receive, lost)
        except InvalidMessage as error:
            cut = isinstance(error.__cause__, EOFError)
            raise ServerUnreachable(self._url, _CUT if cut else _NOT_OURS) from None
        except (OSError, InvalidHandshake) as error:
            raise _unreachable(self._url, error) from None
        return _SocketLink(socket, self._url, receive, lost)

    def _upgraded(self) -> Awaitable[ClientConnection]:
        from websockets.asyncio.client import unix_connect

        from phasenb.client.redirects import SameOriginConnect

        uri = "ws" + self._base.removeprefix("http") + "phasenb/ws"
        how: dict[str, Any] = {
            "additional_headers": self._headers(),
            "compression": None,
            "max_size": None,  # a snapshot with large inline outputs is the server's to bound
            "open_timeout": TIMEOUT_S,
            "logger": _quiet,
        }
        if self.socket_path is not None:
            return unix_connect(self.socket_path, uri, **how)
        return SameOriginConnect(uri, proxy=None if self._loopback else True, **how)

    async def _without_socket(self, cause: str, status: int | None, receive: Receive, lost: Lost) -> Link:
        """A link over HTTP, if that works where the socket does not. Raises what is wrong with HTTP too."""
        from phasenb.client.polling import PollingLink
        from phasenb.client.refusals import blocked_note

        if status is not None and status >= 500:
            await asyncio.sleep(_SETTLE_S)
        try:
            opened = await asyncio.to_thread(self._exchange, "connections", b"", _OPENING_S)
        except _NotFound as error:  # an older phasenb, or none
            health = await asyncio.to_thread(self.health, _OPENING_S)
            raise (ProxyRefused(self._url, status or 0, cause) if health is not None else error.meant) from None
        path = f"connections/{orjson.loads(opened)['connection']}"
        return PollingLink(self._exchange, path, self._url, blocked_note(self._url, cause), receive, lost)

    def _exchange(self, path: str, body: bytes, timeout_s: float = TIMEOUT_S) -> bytes:
        request = self._request("POST", path, body)
        request.add_header("Content-Type", JSON)
        with self._open(request, timeout_s) as response:
            return response.read()

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self._token}"} if self._token else {}

    @property
    def _loopback(self) -> bool:
        host = urlsplit(self._base).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")

    def _refused(self, status: int) -> PhasenbError:
        from phasenb.client.refusals import refusal

        return refusal(self._url, status, self._known_as() if status == 403 else None)

    def _known_as(self) -> str | None:
        """As whom Jupyter knows the caller, who may do nothing there; None where the token is wrong. Blocks."""
        try:
            with self._open(self._request("GET", "me", below="api"), _OPENING_S, asking=True) as response:
                identity = self._object(response).get("identity") or {}
        except PhasenbError:
            return None
        return identity.get("display_name") or identity.get("username")

    # --- calls -----------------------------------------------------------------------------------------------------

    def health(self, timeout_s: float = TIMEOUT_S, machine: str | None = None) -> JsonObject | None:
        """What the extension says of itself; None where the server answers and has no extension. Blocks. ``machine``:
        this one, to be told of its store too.

        Raises ServerUnreachable, AccessDenied, and what keeps the extension from working (StoreUnavailable, ...).
        """
        try:
            return self._json(_with_query("health", machine=machine), timeout_s)
        except _NotFound:
            return None

    def has_labextension(self, name: str, timeout_s: float = TIMEOUT_S) -> bool:
        """Whether this Jupyter server's JupyterLab has an extension; False also where it does not tell. Blocks."""
        request = self._request("GET", f"{quote(name)}/package.json", below="lab/extensions")
        try:
            with self._open(request, timeout_s) as response:
                return self._object(response).get("name") == name
        except PhasenbError:
            return False

    async def events(self, task_id: str, after_seq: int) -> JsonObject:
        return await self._get(f"tasks/{quote(task_id, safe='')}/events", after_seq=after_seq)

    async def logs(self, task_id: str, after: int) -> JsonObject:
        return await self._get(f"tasks/{quote(task_id, safe='')}/logs", after=after)

    async def source(self, task_id: str, phase: str, attempt: int | None) -> JsonObject:
        path = f"tasks/{quote(task_id, safe='')}/source/{quote(phase, safe='')}"
        return await self._get(path, **({} if attempt is None else {"attempt": attempt}))

    async def results(self, *, task_id: str | None = None, session: str | None = None) -> JsonObject:
        return await self._get(_results_path(task_id, session))

    async def results_frame(
        self, load: Load, *, task_id: str | None, session: str | None, last: bool, flatten: bool, aside: Aside
    ) -> pd.DataFrame:
        """Over Arrow where both sides have pyarrow: several times faster than JSON, and the same frame."""

        def fetched() -> pd.DataFrame:
            from phasenb.codecs.result_tables import arrow_installed, read_results
            from phasenb.store.frames import results_frame
            from phasenb.store.table_frames import results_frame_of

            how: dict[str, Any] = {"last": last, "flatten": flatten, "load": load, "aside": aside}
            request = self._request("GET", _results_path(task_id, session))
            request.add_header("Accept", f"{ARROW}, {JSON};q=0.5" if arrow_installed() else JSON)
            with self._open(request, TIMEOUT_S) as response:
                if response.headers.get_content_type() == ARROW:
                    return results_frame_of(read_results(cast("IO[bytes]", response)), **how)
                return results_frame(self._object(response)["results"], **how)

        return await asyncio.to_thread(fetched)

    async def _get(self, path: str, **query: Any) -> JsonObject:
        return await asyncio.to_thread(self._json, _with_query(path, **query), TIMEOUT_S)

    def _json(self, path: str, timeout_s: float) -> JsonObject:
        with self._open(self._request("GET", path), timeout_s) as response:
            return self._object(response)

    def _object(self, response: _Body) -> JsonObject:
        if "/login" in urlsplit(response.url).path:
            raise AccessDenied(self._url)
        try:
            return dict(orjson.loads(response.read()))
        except ValueError:
            raise ServerUnreachable(self._url, _NOT_OURS) from None

    # --- objects ---------------------------------------------------------------------------------------------------

    def input_folder(self) -> ObjectFolder | None:
        return None

    def upload(self, hash: str, path: Path) -> None:
        digest = hash.removeprefix("sha256:")
        try:
            with self._open(self._request("HEAD", f"objects/{digest}"), TIMEOUT_S):
                return
        except _NotFound:
            pass  # the usual case: it is new to the server
        with path.open("rb") as body:
            request = self._request("PUT", f"objects/{digest}", body)
            request.add_header("Content-Type", "application/octet-stream")
            request.add_header("Content-Length", str(path.stat().st_size))
            # No timeout: an upload may take its time, and a dead connection is noticed by the kernel.
            with self._open(request, None):
                return

    def download(self, hash: str, folder: ObjectFolder) -> None:
        request = self._request("GET", f"objects/{hash.removeprefix('sha256:')}")
        try:
            with self._open(request, TIMEOUT_S) as response, folder.upload() as upload:
                while block := response.read(_BLOCK):
                    upload.write(block)
                upload.commit(hash)
        except _NotFound as error:
            raise error.meant from None

    # --- the store -------------------------------------------------------------------------------------------------

    async def memory(self, owner: str, session: str) -> MemoryView:
        """The server's store, where it is a file of this machine and the server tells this user of it."""
        from phasenb.config.machine import machine_id

        health = await self._get("health", machine=machine_id())
        place = health.get("store")
        if not place or not await asyncio.to_thread(Path(place["url"]).is_file):
            problem = (
                "it is on another machine, or you may run no code there: client.tasks() and client.results() give the "
                "same frames"
            )
            raise StoreUnavailable(f"of {self._url}", problem)
        return await self._reader.view(place, owner, session)

    async def aclose(self) -> None:
        """Close the store that ``memory`` opened, if it did."""
        await self._reader.close()

    # --- HTTP ------------------------------------------------------------------------------------------------------

    def _request(self, method: str, path: str, body: Any = None, below: str = "phasenb/api") -> Request:
        from urllib.request import Request

        headers = self._headers()
        if method in ("PUT", "POST") and self.socket_path is None:
            headers |= _NO_PAGE
        return Request(f"{self._base}{below}/{path}", body, headers, method=method)  # noqa: S310 - http(s)

    def _open(self, request: Request, timeout_s: float | None, *, asking: bool = False) -> _Body:
        """``asking``: who the caller is; a refusal needs no reason then."""
        from http.client import HTTPException
        from urllib.error import HTTPError
        from urllib.request import ProxyHandler, build_opener

        from phasenb.client.http_connections import PlainHandler, SecureHandler
        from phasenb.client.redirects import SameOriginRedirects

        how: list[BaseHandler] = [ProxyHandler({})] if self._loopback else []
        how += [PlainHandler(self.socket_path), SecureHandler()]
        opener = build_opener(SameOriginRedirects(self._base), *how)
        try:
            return _Body(opener.open(request, timeout=timeout_s), self._url)
        except HTTPError as error:
            refused = error
        except (OSError, HTTPException) as error:
            raise _unreachable(self._url, error) from None
        with _Body(cast("HTTPResponse", refused), self._url) as body:
            if asking:
                raise AccessDenied(self._url, refused.code)
            raise self._problem(refused.code, body.read())

    def _problem(self, status: int, body: bytes) -> PhasenbError:
        try:
            told = json.loads(body)
            meant = from_wire(told["code"], told["message"], told["details"])
        except (ValueError, KeyError, TypeError):
            told, meant = {}, self._refused(status)
        if status == 404:
            return _NotFound(meant) if told.get("code", "not_found") in ("not_found", "unknown_object") else meant
        # jupyter_server says "forbidden" without facts where the token is wrong; ours says what is not allowed.
        return self._refused(status) if status in (401, 403) and not told.get("details") else meant


class _NotFound(PhasenbError):
    """The path, or the object, is not there; ``meant`` is what to raise where that is an error."""

    def __init__(self, meant: PhasenbError) -> None:
        super().__init__()
        self.meant = meant

    def __str__(self) -> str:
        return str(self.meant)


class _SocketLink:
    note = None

    def __init__(self, socket: ClientConnection, url: str, receive: Receive, lost: Lost) -> None:
        self._socket = socket
        self._url = url
        self._receive = receive
        self._lost = lost
        self._reader = asyncio.get_running_loop().create_task(self._read(), name="phasenb socket")

    async def send(self, command: str | JsonObject) -> None:
        assert isinstance(command, str)  # see Link.send
        from websockets.exceptions import ConnectionClosed

        try:
            await self._socket.send(command)
        except ConnectionClosed as error:
            raise ConnectionError("the socket is closed") from error

    async def close(self) -> None:
        self._reader.cancel()
        await self._socket.close()

    async def _read(self) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            while True:
                self._receive(await self._socket.recv())
        except ConnectionClosed:
            code, reason = self._socket.close_code, self._socket.close_reason
            status = FINAL_CLOSES.get(code or 0)
            final = AccessDenied(self._url, status) if status else None
            self._lost(f"closed with {code} {reason or ''}".strip(), final)
        except Exception:
            # Of our own making: a fresh link, and fresh snapshots, may do. Not at once, as it may happen again.
            log.exception("a message of %s could not be taken", self._url)
            await self._socket.close()
            await asyncio.sleep(AFTER_FAILURE_S)
            self._lost("a message could not be taken", None)


def _results_path(task_id: str | None, session: str | None) -> str:
    return _with_query("results", session=session) if task_id is None else f"tasks/{quote(task_id, safe='')}/results"


def _with_query(path: str, **query: Any) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _unreachable(url: str, error: BaseException) -> ServerUnreachable:
    """Urllib and asyncio wrap the operating system's own error."""
    reason = getattr(error, "reason", None)
    cause = reason if isinstance(reason, BaseException) else error
    if type(cause).__name__ == "SSLCertVerificationError":  # of ssl, which is not imported for this
        why = getattr(cause, "verify_message", "") or cause
        return ServerUnreachable(url, f"its certificate is not trusted here: {why}", _TRUST)
    return ServerUnreachable(url, _plain(cause))


def _plain(cause: BaseException) -> str:
    """A problem in a few words."""
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused"
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if type(cause).__name__ == "IncompleteRead":  # of http.client, which is not imported for this
        return _CUT
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
