"""Where launches go: the server that is named, the Jupyter server of this kernel, or this process itself.

The Jupyter server of this kernel comes before the host that ``phasenb serve`` runs, and that before this process.

Rules: a server that was found and does not answer is an error, never a silent fall-back; only one that answers and has
no phasenb extension leaves the kernel to its embedded host.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

from phasenb.client.backend import Backend
from phasenb.client.http_backend import HttpBackend
from phasenb.errors import ServerUnreachable

HEALTH_S = 10.0


def backend_for(url: str | None = None, token: str | None = None) -> Backend:
    """The server that ``server_for`` finds, else an embedded host. Raises what ``server_for`` does."""
    server = server_for(url, token)
    if server is not None:
        return server
    from phasenb.client.embedded import EmbeddedBackend

    return EmbeddedBackend()


def server_for(url: str | None = None, token: str | None = None) -> HttpBackend | None:
    """The named server; else ``PHASENB_URL`` (and ``PHASENB_TOKEN``); else the Jupyter server that started this
    kernel, where it has the extension; else the host that ``phasenb serve`` runs for this store; else None. Blocks
    for at most one question to that server.

    Raises ValueError for an empty ``url``, ServerUnreachable, AccessDenied, and what keeps the server's extension
    from working.
    """
    if url == "":
        raise ValueError("url is empty: name a server, or leave it out to have one found")
    named = url or os.environ.get("PHASENB_URL")
    if named:
        return HttpBackend(named, token or os.environ.get("PHASENB_TOKEN"))
    server = kernels_server()
    if server is not None and server.health(HEALTH_S) is not None:
        return server
    from phasenb.client.served import served_backend

    return served_backend()


def is_kernels_server(url: str) -> bool:
    """Whether it is the server behind this notebook's page, which can be asked for a task without this kernel."""
    try:
        server = kernels_server()
    except ServerUnreachable:
        return False
    return server is not None and server.url == url


@cache
def page_has_anywidget() -> bool:
    """Whether the page of this kernel can draw an anywidget. One of a Jupyter server has an error in its place where it
    is not installed there; others (VS Code, Colab) have it, or fetch it. Blocks for at most one question.
    """
    try:
        server = kernels_server()
    except ServerUnreachable:
        return False
    return server is None or server.has_labextension("anywidget", HEALTH_S)


def kernels_server() -> HttpBackend | None:
    """The Jupyter server that started this kernel, from the file that it keeps of itself; None where there is none."""
    parent = os.environ.get("JPY_PARENT_PID", "")
    if not parent.isdigit():
        return None
    from jupyter_core.paths import jupyter_runtime_dir  # imported late: a script never needs it

    path = Path(jupyter_runtime_dir()) / f"jpserver-{parent}.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # started by something else: nbclient, a console, VS Code
    if told.get("sock"):
        raise ServerUnreachable(told["sock"], "it listens on a UNIX socket only, which phasenb can't use")
    return HttpBackend(told["url"], told.get("token"))
