"""The Jupyter server's user as an Identity (protocol.md, "Who may do what")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_core.utils import ensure_async

from phasenb.web.identity import Action, Identity, operating_system_user

if TYPE_CHECKING:
    from jupyter_server.base.handlers import JupyterHandler

RESOURCE = "phasenb"


def identity_of(handler: JupyterHandler, *, owner: str | None, allow_code: bool) -> Identity:
    """Who is behind an authenticated request. ``owner`` is the configured one, if there is one."""
    user: Any = handler.current_user

    async def may(action: Action, task_id: str | None) -> bool:
        if action == "code":
            # Running code is what `execute` on kernels permits; there is no second permission for it.
            return allow_code and await _authorized(handler, "execute", "kernels")
        return await _authorized(handler, action, RESOURCE)

    if _invents_users(handler):
        local = operating_system_user()
        return Identity(owner=owner or local, name=local, may=may)
    return Identity(owner=owner or user.username, name=user.display_name or user.username, may=may)


def _invents_users(handler: JupyterHandler) -> bool:
    """jupyter_server's own providers make a new anonymous user of each token: such a server has one owner."""
    return type(handler.identity_provider).__module__.partition(".")[0] == "jupyter_server"


async def _authorized(handler: JupyterHandler, action: str, resource: str) -> bool:
    allowed = handler.authorizer.is_authorized(handler, handler.current_user, action, resource)
    return bool(await ensure_async(allowed))
