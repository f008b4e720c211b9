"""The Jupyter server's user as an Identity (protocol.md, "Who may do what")."""

from __future__ import annotations

from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.auth.identity import IdentityProvider
from jupyter_server.base.handlers import JupyterHandler

from phasenb.web.identity import Action, Identity, operating_system_user

RESOURCE = "phasenb"


def identity_of(
    handler: JupyterHandler, *, owner: str | None, allow_code: bool, unasked: dict[str, Any] | None = None
) -> Identity:
    """Who is behind an authenticated request. ``owner`` is the configured one, if there is one; ``unasked``: the
    handler's attributes before anybody asked who it is, where that is to be asked again.
    """
    user: Any = handler.current_user
    invented = _invents_users(handler.identity_provider)

    async def known() -> bool:
        again: Any = await _user_of(handler, unasked) if unasked is not None else user
        return again is not None and (invented or again.username == user.username)

    async def may(action: Action, task_id: str | None) -> bool:
        if action == "code":
            # Running code is what `execute` on kernels permits; there is no second permission for it.
            return allow_code and await _authorized(handler, "execute", "kernels")
        return await _authorized(handler, action, RESOURCE)

    if invented:
        local = operating_system_user()
        return Identity(owner=owner or local, name=local, may=may, known=known)
    return Identity(owner=owner or user.username, name=user.display_name or user.username, may=may, known=known)


class LastingHandler(JupyterHandler):
    """One that begins a connection which outlives the request: who is behind it is asked again and again."""

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        super().initialize(*args, **kwargs)
        self._unasked = dict(self.__dict__)

    def lasting_identity(self, *, owner: str | None, allow_code: bool) -> Identity:
        return identity_of(self, owner=owner, allow_code=allow_code, unasked=self._unasked)


async def _user_of(handler: JupyterHandler, unasked: dict[str, Any]) -> Any:
    """Who the request's token or cookie stands for now. Providers keep their first answer in the handler, and may set a
    cookie, which an open socket can't: so another one of the same request is asked.
    """
    asked = object.__new__(type(handler))
    asked.__dict__.update(unasked)
    return await ensure_async(handler.identity_provider.get_user(asked))


def only_owner(provider: IdentityProvider, configured: str | None) -> str | None:
    """The owner that everybody is who comes to a server; None where its provider tells users apart."""
    return configured or (operating_system_user() if _invents_users(provider) else None)


def _invents_users(provider: IdentityProvider) -> bool:
    """jupyter_server's own providers make a new anonymous user of each token: such a server has one owner."""
    return type(provider).__module__.partition(".")[0] == "jupyter_server"


async def _authorized(handler: JupyterHandler, action: str, resource: str) -> bool:
    allowed = handler.authorizer.is_authorized(handler, handler.current_user, action, resource)
    return bool(await ensure_async(allowed))
