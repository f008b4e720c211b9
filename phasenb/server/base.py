"""What the HTTP handlers share: the host behind them, the identity of the caller, errors as JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import orjson
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from pydantic import ValidationError
from tornado import web
from tornado.iostream import StreamClosedError

from phasenb.config.settings import WebSocketSettings
from phasenb.dto import bounds, problems
from phasenb.dto.base import Frozen
from phasenb.errors import BadMessage, PhasenbError, TooLarge
from phasenb.server.errors import as_response, retry_after_s
from phasenb.server.identities import RESOURCE, identity_of
from phasenb.web.http_protocol import Query
from phasenb.web.message_protocol import parse_object

if TYPE_CHECKING:
    from phasenb.server.app import PhaseNB
    from phasenb.web.api import TaskApi
    from phasenb.web.identity import Identity


METHOD_NOT_ALLOWED = 405
Method = TypeVar("Method", bound=Callable[..., Any])
Asked = TypeVar("Asked", bound=Query)


def permitted(action: Literal["read", "write", "execute"]) -> Callable[[Method], Method]:
    """``@web.authenticated`` and ``@authorized(action, "phasenb")``: an undecorated handler would be public.

    Action and resource are always said: ``authorized`` would keep those of its first caller for everybody.
    """

    def decorate(method: Method) -> Method:
        checked: Callable[[Method], Method] = authorized(action, RESOURCE)
        return cast("Method", web.authenticated(checked(method)))

    return decorate


def _is_jupyters(name: str, values: list[bytes]) -> bool:
    """Of Jupyter itself: how a request is authenticated, and the number with which JupyterLab goes past caches."""
    return name in ("token", "_xsrf") or (name.isdecimal() and values == [b""])


@web.stream_request_body
class PhaseHandler(ExtensionHandlerMixin, APIHandler):
    """A handler of ``{base_url}phasenb/api/...``. Every method is decorated: who may call it is never by default.

    No byte of a body is read before its sender is authenticated, and no more of it is kept than a message may have:
    elsewhere Tornado keeps a whole body first, and Jupyter lets it have 512 MiB.
    """

    auth_resource = "phasenb"

    async def prepare(self, *, _redirect_to_login: bool = True) -> None:
        self._received = bytearray()
        await super().prepare()
        if self.current_user is None:
            raise web.HTTPError(403)
        await self.begin_body()

    async def begin_body(self) -> None:
        """The sender is authenticated, and its body comes now."""

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        # Past the bound it is read and thrown away: closed in the middle, a client would not see the answer.
        if len(self._received) <= self._limit:
            self._received += chunk
        return None

    @property
    def _limit(self) -> int:
        host = self.phasenb.host
        return (host.settings.websocket if host is not None else WebSocketSettings()).max_message_bytes

    def received(self) -> bytes:
        """The body. Raises TooLarge."""
        if len(self._received) > self._limit:
            raise TooLarge(None, self._limit)
        return bytes(self._received)

    @property
    def phasenb(self) -> PhaseNB:
        return cast("PhaseNB", self.extensionapp)

    async def caller(self, query: type[Asked] = Query) -> tuple[TaskApi, Identity, Asked]:  # type: ignore[assignment]
        """The host's api, who asks, and what the query says. Raises what was wrong with the host at its start."""
        for part in (*self.path_args, *self.path_kwargs.values()):
            if part is not None and len(part) > bounds.NAME:
                raise BadMessage("the path is not valid", {bounds.place((part,)): bounds.too_long(bounds.NAME)})
        await self.phasenb.ready()
        host, api = self.phasenb.running()
        identity = identity_of(self, owner=self.phasenb.owner, allow_code=host.settings.allow_code)
        return api, identity, self._query(query)

    def answer(self, body: bytes | Frozen | dict[str, Any]) -> None:
        if isinstance(body, Frozen):
            body = body.model_dump_json(by_alias=True).encode()
        self.finish(body if isinstance(body, bytes) else orjson.dumps(body))

    async def stream(self, chunks: AsyncIterator[bytes], content_type: str) -> None:
        """Send chunks as they come. The client may leave at any of them."""
        self.set_header("Content-Type", content_type)
        self.set_header("X-Content-Type-Options", "nosniff")
        try:
            async for chunk in chunks:
                self.write(chunk)
                await self.flush()
        except StreamClosedError:
            return
        self.finish(set_content_type=content_type)

    def _query(self, kind: type[Asked]) -> Asked:
        asked = self.request.query_arguments
        given = {name: self.get_query_argument(name) for name in asked if not _is_jupyters(name, asked[name])}
        try:
            return kind.model_validate(given)
        except ValidationError as error:
            raise BadMessage("the query is not valid", problems.fields(error, kind, given)) from None

    def body(self) -> dict[str, Any]:
        """The body's JSON object; without a body an empty one. Raises BadMessage, TooLarge."""
        body = self.received()
        return parse_object(body) if body else {}

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        status, body = as_response(error, status_code)
        self.set_status(status)
        wait_s = retry_after_s(error, datetime.now(UTC))
        if wait_s is not None:
            self.set_header("Retry-After", str(wait_s))
        if status == METHOD_NOT_ALLOWED:
            self.set_header("Allow", ", ".join(self._methods()))
        self.answer(body)

    def _methods(self) -> list[str]:
        nothing = web.RequestHandler._unimplemented_method
        return [name for name in self.SUPPORTED_METHODS if getattr(type(self), name.lower()) is not nothing]

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        # What we raise on purpose is an answer, not an incident; `as_response` logs the others under their id.
        if isinstance(value, PhasenbError):
            self.log.debug("%s %s: %s", self.request.method, self.request.path, value)
        elif typ is not None and not isinstance(value, Exception):
            super().log_exception(typ, value, tb)
