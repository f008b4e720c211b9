"""Where launches of a kernel, a script and the command go: one order, in ``server_for``; else this process itself.

Rules: a server that was named, or that started this kernel, and does not answer is an error, never a silent fall-back;
one that answers and has no phasenb extension is passed over. A server that only runs beside is taken where it answers,
and where this process is not configured for another store.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from phasenb.client.backend import Backend
from phasenb.client.http_backend import HttpBackend, parse_url
from phasenb.client.own_socket import socket_of
from phasenb.config.machine import machine_id
from phasenb.config.places import runtime_dir
from phasenb.core.parent import current_parent, started_by
from phasenb.errors import PhasenbError, ServerUnreachable

HEALTH_S = 10.0


def backend_for(url: str | None = None, token: str | None = None) -> Backend:
    """The named server; in a phase its task's host; the server that ``server_for`` finds; else an embedded host. Raises
    what ``server_for`` does.
    """
    parent = current_parent()
    if url is None and parent is not None:
        from phasenb.client.nested import NestedBackend

        parent.check_reachable()
        return NestedBackend(parent)
    server = server_for(url, token)
    if server is not None:
        return server
    from phasenb.client.embedded import EmbeddedBackend

    return EmbeddedBackend()


def server_for(url: str | None = None, token: str | None = None) -> HttpBackend | None:
    """The named server; else ``PHASENB_URL`` (and ``PHASENB_TOKEN``); else the Jupyter server that started this
    kernel, where it has the extension; else the host that ``phasenb serve`` runs for this store; else a Jupyter server
    of this user on this machine; else None. Blocks for one question to each that is there.

    In a process that a phase started only one that is named there, by ``url`` or ``PHASENB_URL``: what is found may be
    another user's, or another session's.

    Raises ValueError for an empty ``url``, ServerUnreachable, AccessDenied, ConfigError, and what keeps the server's
    extension from working.
    """
    if url == "":
        raise ValueError("url is empty: name a server, or leave it out to have one found")
    if url is None and (parent := current_parent()) is not None:
        parent.check_reachable()
    named = url or os.environ.get("PHASENB_URL")
    if named:
        return HttpBackend(*parse_url(named, token or os.environ.get("PHASENB_TOKEN")))
    if (lineage := started_by()) is not None:
        raise lineage.unreachable()
    server = kernels_server()
    if server is not None and server.health(HEALTH_S) is not None:
        return server
    from phasenb.client.served import served_backend

    return served_backend() or _server_beside()


def is_kernels_server(url: str) -> bool:
    """Whether it is the server behind this notebook's page, which can be asked for a task without this kernel."""
    try:
        server = kernels_server()
    except ServerUnreachable:
        return False
    return server is not None and server.url == url


def page_has_anywidget() -> bool:
    """Whether the page of this kernel can draw an anywidget. One of a Jupyter server has an error in its place where it
    is not installed there; others (VS Code, Colab) have it, or fetch it. Blocks for two questions at most, until they
    are answered once.
    """
    try:
        return _page_has_anywidget()
    except PhasenbError:
        return False  # for this time


@cache
def _page_has_anywidget() -> bool:
    server = kernels_server()
    told = server.health(HEALTH_S) if server is not None else {"anywidget": True}
    if told is not None and "anywidget" in told:
        return bool(told["anywidget"])
    return server is not None and server.has_labextension("anywidget", HEALTH_S)  # one without our extension


def kernels_server() -> HttpBackend | None:
    """The Jupyter server that started this kernel, from the file that it keeps of itself; None where there is none."""
    parent = os.environ.get("JPY_PARENT_PID", "")
    if not parent.isdigit():
        return None
    path = runtime_dir() / f"jpserver-{parent}.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # started by something else: nbclient, a console, VS Code
    return backend_of(told)


def _server_beside() -> HttpBackend | None:
    """The first of ``running_servers`` that has our extension and this process's store; any store, where none is
    configured here. Raises ConfigError.
    """
    found = running_servers()
    if not found:
        return None
    from phasenb.config.jupyter_files import settings_here
    from phasenb.store.location import locate

    configured = settings_here().store.url
    store = None if configured is None else locate(configured).shown
    for told in found:
        try:
            server = backend_of(told)
            health = server.health(HEALTH_S, machine=machine_id())
        except PhasenbError:
            continue  # nobody said that it should be this one
        if health is not None and store in (None, (health.get("store") or {}).get("url")):
            return server
    return None


def running_servers() -> list[dict[str, Any]]:
    """What the Jupyter servers that run here tell of themselves: this terminal's own first, then the newest."""
    from psutil import pid_exists

    files = sorted(runtime_dir().glob("jpserver-*.json"), key=_changed, reverse=True)
    found = []
    for path in files:
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # it has just gone, or is being written
        if pid_exists(told["pid"]) and told["pid"] != os.getpid():
            found.append(told)
    own = os.environ.get("JUPYTER_SERVER_URL", "").rstrip("/")  # set in the terminals of JupyterLab
    return sorted(found, key=lambda told: told["url"].rstrip("/") != own)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def backend_of(told: dict[str, Any]) -> HttpBackend:
    """The Jupyter server whose file says ``told``: by the UNIX socket that its extension opens for its own user, else
    by its URL and token. Raises ServerUnreachable where it has neither.
    """
    sock = socket_of(told["pid"])
    if sock is not None:
        return HttpBackend.over_socket(sock, told["base_url"], url=told["url"])
    if told.get("sock"):
        raise ServerUnreachable(
            told["sock"], "it listens on a UNIX socket of its own only, and has no phasenb extension"
        )
    return HttpBackend(told["url"], told.get("token"))
