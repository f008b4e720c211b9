"""What the HTTP handlers share: the host behind them, the identity of the caller, errors as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import orjson
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado import web

from phasenb.errors import BadMessage, PhasenbError
from phasenb.server.errors import as_response
from phasenb.server.identities import RESOURCE, identity_of

if TYPE_CHECKING:
    from phasenb.server.app import PhaseNB
    from phasenb.web.api import TaskApi
    from phasenb.web.identity import Identity


Method = TypeVar("Method", bound=Callable[..., Any])


def permitted(action: Literal["read", "write", "execute"]) -> Callable[[Method], Method]:
    """``@web.authenticated`` and ``@authorized(action, "phasenb")``: an undecorated handler would be public.

    Action and resource are always said: ``authorized`` would keep those of its first caller for everybody.
    """

    def decorate(method: Method) -> Method:
        checked: Callable[[Method], Method] = authorized(action, RESOURCE)
        return cast("Method", web.authenticated(checked(method)))

    return decorate


class PhaseHandler(ExtensionHandlerMixin, APIHandler):
    """A handler of ``{base_url}phasenb/api/...``. Every method is decorated: who may call it is never by default."""

    auth_resource = "phasenb"

    @property
    def phasenb(self) -> PhaseNB:
        return cast("PhaseNB", self.extensionapp)

    async def caller(self) -> tuple[TaskApi, Identity]:
        """The host's api, and who asks. Raises what was wrong with the host at its start."""
        await self.phasenb.ready()
        host, api = self.phasenb.running()
        return api, identity_of(self, owner=self.phasenb.owner, allow_code=host.settings.allow_code)

    def answer(self, body: dict[str, Any]) -> None:
        self.finish(orjson.dumps(body))

    def number(self, name: str, default: int) -> int:
        """A query argument that is a whole number. Raises BadMessage."""
        text = self.get_query_argument(name, None)
        try:
            return default if text is None else int(text)
        except ValueError:
            raise BadMessage("the query is not valid", {name: "a whole number is required"}) from None

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        status, body = as_response(error, status_code)
        self.set_status(status)
        self.answer(body)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        # What we raise on purpose is an answer, not an incident; `as_response` logs the others under their id.
        if isinstance(value, PhasenbError):
            self.log.debug("%s %s: %s", self.request.method, self.request.path, value)
        elif typ is not None and not isinstance(value, Exception):
            super().log_exception(typ, value, tb)
