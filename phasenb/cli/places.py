"""Where a command's tasks are: a server that is named or found, or the store itself where nothing runs.

Rules: reading works without a server, straight from the store, and sets nothing in motion there; what changes a task
needs a server. A server that was named or found and does not answer is an error (client.discovery).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from phasenb.cli.frame import Call
from phasenb.errors import NoServer

if TYPE_CHECKING:
    from phasenb.client.backend import Backend
    from phasenb.client.client import Client
    from phasenb.client.embedded import EmbeddedHost
    from phasenb.client.http_backend import HttpBackend

SESSION = "cli"  # of a connection that launches nothing: tasks of all sessions are in its reach


def find_server(call: Call) -> HttpBackend | None:
    """What client.discovery finds. Raises ServerUnreachable, AccessDenied, ConfigError."""
    from phasenb.client.discovery import server_for

    return server_for(call.url, call.token)


def need_server(call: Call, command: str, instead: str = "") -> HttpBackend:
    """Raises NoServer where there is none, and what ``find_server`` does."""
    server = find_server(call)
    if server is None:
        raise NoServer(f"phasenb {command}", instead)
    return server


@contextmanager
def client_of(call: Call, backend: Backend, session: str = SESSION) -> Iterator[Client]:
    """A client whose notices go to stderr. Raises what Client does."""
    from phasenb.client.client import Client

    client = Client(
        session=session_of(call, session), notice=lambda text: call.say(f"phasenb: {text}"), backend=backend
    )
    try:
        yield client
    finally:
        client.close()


@contextmanager
def reading(call: Call) -> Iterator[Client]:
    """A client for commands that change nothing: of a server, or of the store where there is no server."""
    server = find_server(call)
    if server is not None:
        with client_of(call, server) as client:
            yield client
        return
    from phasenb.client.embedded import EmbeddedBackend

    host = _store_alone()
    try:
        with client_of(call, EmbeddedBackend(host)) as client:
            yield client
    finally:
        host.thread.run(host.stop())


def session_of(call: Call, default: str) -> str:
    from phasenb.client.sessions import check_session

    try:
        return check_session(call.session or default)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--session") from None


def _store_alone() -> EmbeddedHost:
    """A host that only reads: the configured store; an empty one where none was made yet."""
    from phasenb.client.embedded import EmbeddedHost
    from phasenb.client.loop_thread import shared_loop
    from phasenb.config.jupyter_files import settings_here
    from phasenb.store.location import MEMORY, locate

    settings = settings_here()
    path = locate(settings.store_url).path
    if path is not None and not path.exists():
        settings = settings.model_copy(update={"store": settings.store.model_copy(update={"url": MEMORY})})
    return EmbeddedHost(shared_loop(), settings, reading=True)
