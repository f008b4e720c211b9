"""Who a client is, and the one question that decides all: may this user do this, to this task?

Rules: ``owner`` is the security boundary and keys every task, object and session; another owner's task does not exist
(UnknownTask by whoever looks it up, never Forbidden). The decision is asked for with each command, so a permission
that was taken away holds at once; so does the end of a login, for commands that change anything (for those that read:
web.standing). ``code`` needs the host's ``allow_code`` and the right to run code anyway (``execute`` on ``kernels``).
"""

from __future__ import annotations

import functools
import os
import pwd
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from phasenb.errors import AuthenticationExpired, CodeNotAllowed, Forbidden

Action = Literal["read", "write", "execute", "code"]
May = Callable[[Action, str | None], Awaitable[bool]]
Known = Callable[[], Awaitable[bool]]


async def _forever() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Identity:
    """A user as a host sees them; ``name`` is for people (``by`` of events). ``task``: the task in whose phase it is.

    ``may(action, task_id)`` is the host's decision; ``task_id`` None where no task is meant. ``known()``: whether the
    authentication that told who it is still holds.
    """

    owner: str
    name: str
    may: May
    known: Known = _forever
    task: str | None = None

    async def require(self, action: Action, task_id: str | None = None, *, what: str = "code") -> None:
        """Raises Forbidden; CodeNotAllowed for ``code``, of which ``what`` says what it was; AuthenticationExpired."""
        # Who asks for `code` was asked about `execute` or `write` before.
        if action in ("write", "execute") and not await self.known():
            raise AuthenticationExpired
        if not await self.may(action, task_id):
            raise CodeNotAllowed(what) if action == "code" else Forbidden(action)


@functools.cache
def operating_system_user() -> str:
    """The owner in an embedded host, and under identity providers that invent anonymous users.

    By the process's uid: ``USER`` and ``LOGNAME`` may differ between a server and its kernels. Asked once, since the
    lookup may go over a network.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container whose uid has no name
        return f"uid-{os.getuid()}"


async def _always(action: Action, task_id: str | None) -> bool:
    return True


def local_identity() -> Identity:
    """The user of an embedded host: the process's own, who may do what the process may."""
    user = operating_system_user()
    return Identity(owner=user, name=user, may=_always)
