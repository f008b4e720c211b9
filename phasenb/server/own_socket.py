"""OwnSocket: the server's own user reaches ``phasenb/`` by a UNIX socket, without password, name, certificate or proxy.

This is the one place where somebody is let in otherwise than by Jupyter's own authentication: the operating system says
who is at the other end. Rules:

* Only where jupyter_server's own providers are in use, which know one user: never where a provider has users (a hub).
* The folder of the socket is its user's alone; a peer of another uid, root too, is closed without an answer.
* Only ``phasenb/`` is served, by the same handlers, and the Authorizer is asked, about the owner.
* No browser gets in, also where somebody forwards a port to the socket: what a page sends has headers that a client of
  ours never sends, and names a host.

The way is public: Tornado's HTTPServer and Application, and an IdentityProvider, which jupyter_server's handlers look
up in their application's settings.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import struct
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jupyter_server.auth.identity import IdentityProvider, PasswordIdentityProvider, User
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.web import Application, RequestHandler

from phasenb.client.own_socket import is_private, socket_place
from phasenb.config.places import make_private_folder

log = logging.getLogger(__name__)

_BACKLOG = 128
_OF_ONE_USER = (IdentityProvider, PasswordIdentityProvider)
# Of browsers and of proxies. A page can neither leave out its origin nor, where it has none, what Fetch Metadata adds.
_NOT_OF_OURS = (
    "Origin", "Referer", "Cookie", "Sec-Fetch-Site", "Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host",
    "X-Forwarded-Proto", "X-Real-Ip",
)  # fmt: skip
_STATIC = ("static_path", "static_url_prefix", "static_handler_class", "static_handler_args")
_XUCRED = struct.Struct("II")  # version and uid of macOS' struct xucred, sys/ucred.h
_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1  # sys/un.h


def peer_uid(sock: socket.socket) -> int:
    """Who is at the other end, as the operating system has it since that end connected. Raises OSError."""
    if sys.platform == "darwin":
        return int(_XUCRED.unpack(sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size))[1])
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)


class OwnersServer(HTTPServer):
    """Speaks with processes of this user alone."""

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        try:
            uid = peer_uid(stream.socket)
        except OSError:
            uid = -1  # it has gone
        if uid == os.geteuid():
            super().handle_stream(stream, address)
        else:
            stream.close()


class PeerIdentity(IdentityProvider):
    """Whoever comes by the socket is the owner: OwnersServer has seen to it."""

    need_token = False
    owner = ""

    def get_user(self, handler: RequestHandler) -> User | None:
        stranger = any(name in handler.request.headers for name in _NOT_OF_OURS)
        return None if stranger else User(username=self.owner)

    def is_token_authenticated(self, handler: RequestHandler) -> bool:
        """What is no browser's needs no XSRF cookie."""
        return True


class OwnSocket:
    """The socket of this process. ``handlers`` are paths below the base URL; ``owner`` whom the Authorizer is asked
    about.
    """

    def __init__(
        self, serverapp: ServerApp, handlers: Sequence[tuple[str, type[Any], dict[str, Any]]], owner: str
    ) -> None:
        self._serverapp = serverapp
        self._handlers = handlers
        self._owner = owner
        self._server: OwnersServer | None = None
        self._place = socket_place(os.getpid())
        self._folder: Path | None = None  # of ours alone, where the socket could not be in Jupyter's

    def start(self) -> None:
        """Listen, where there is one user only. A place that has no sockets is told in the log: tokens work then."""
        try:
            self._place.unlink(missing_ok=True)  # of a process that had this pid
            if type(self._serverapp.identity_provider) not in _OF_ONE_USER:
                return
            listening = self._listening()
        except OSError as error:
            log.warning("no UNIX socket for this user's kernels (%s): they come with the server's token", error)
            return
        app = self._serverapp
        self._server = OwnersServer(
            self._application(), max_body_size=app.max_body_size, max_buffer_size=app.max_buffer_size
        )
        self._server.add_socket(listening)

    def stop(self) -> None:
        """Idempotent. What is connected goes on."""
        server, self._server = self._server, None
        if server is None:
            return
        server.stop()
        self._place.unlink(missing_ok=True)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _application(self) -> Application:
        given = self._serverapp.web_app.settings
        settings = {name: value for name, value in given.items() if name not in _STATIC}
        provider = PeerIdentity(log=self._serverapp.log)
        provider.owner = self._owner
        # Without remote access a request must name this machine: a page can be made to name another one only.
        settings.update(identity_provider=provider, allow_remote_access=False, local_hostnames=["localhost"])
        settings.update(allow_unauthenticated_access=False)
        base = given["base_url"]
        return Application([(url_path_join(base, path), kind, how) for path, kind, how in self._handlers], **settings)

    def _listening(self) -> socket.socket:
        """In Jupyter's runtime folder; where that is open to others, too deep for a socket's address, or of a file
        system that has none, in a folder of our own, to which a link leads. Raises OSError.
        """
        place = self._place
        make_private_folder(place.parent)
        if is_private(place.parent):
            try:
                return _bound(place)
            except OSError as error:
                log.debug("no socket at %s: %s", place, error)
        self._folder = Path(tempfile.mkdtemp(prefix="phasenb-"))
        listening = _bound(self._folder / "socket")
        place.symlink_to(self._folder / "socket")
        return listening


def _bound(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(str(path))
        path.chmod(0o600)
        made.setblocking(False)
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    return made
