"""The command ``serve``: a host on its own, for launches from where no Jupyter server is: VS Code, a script, cron.

Rules: one for each store; it goes on when the terminal is closed, until ``--stop`` or SIGTERM; a kernel, a script and
the other commands find it by themselves, by the store that they are configured for (client.served).
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from phasenb.cli.exits import Exit
from phasenb.cli.frame import Call, command
from phasenb.errors import StoreUnavailable

if TYPE_CHECKING:
    from phasenb.client.served import Served

_STOP_S = 30.0
_LAST_LINES = 20


def add(app: typer.Typer) -> None:
    command(app)(serve)


def serve(
    call: Call,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay in this terminal, as systemd and containers want it.")
    ] = False,
    stop: Annotated[
        bool, typer.Option("--stop", help="End it. Its tasks stay in the store; the next host goes on.")
    ] = False,
    status: Annotated[bool, typer.Option("--status", help="Say whether it runs; 4 if it does not.")] = False,
) -> int:
    """Run a host in the background. With --json: {"url", "pid", "store", "version", "running"}."""
    if foreground + stop + status > 1:
        raise typer.BadParameter("one of --foreground, --stop and --status is possible")
    from phasenb.client.served import configured_store, read_served

    store = configured_store()
    served = read_served(store)
    if stop:
        return _stop(call, store, served)
    if foreground:
        if served is not None:  # who supervises this one must not take the other's life for its own
            told = f"another `phasenb serve` runs for it (pid {served.pid}): `phasenb serve --stop` ends that one"
            raise StoreUnavailable(store, told)
        return _foreground(call, store)
    if status or served is not None:
        return _told(call, store, served)
    return _detached(call, store)


def _told(call: Call, store: str, served: Served | None) -> int:
    if call.json:
        call.line(_as_json(store, served))
    elif served is None:
        call.say(f"phasenb serve: not running for the store {store}")
    else:
        typer.echo(f"phasenb serve: {served.url}, pid {served.pid}, store {store}")
    return Exit.DONE if served is not None else Exit.NO_SERVER


def _as_json(store: str, served: Served | None) -> dict[str, Any]:
    known = {"url": served.url, "pid": served.pid, "version": served.version} if served else {}
    return {"running": served is not None, "store": store, **known}


def _stop(call: Call, store: str, served: Served | None) -> int:
    """Idempotent: it does not run when this returns. Raises TimeoutError where it takes too long."""
    import psutil

    if served is not None:
        try:
            process = psutil.Process(served.pid)
            process.send_signal(signal.SIGTERM)
            process.wait(_STOP_S)
        except psutil.NoSuchProcess:
            pass  # it has gone by itself
        except psutil.TimeoutExpired:
            raise TimeoutError(f"phasenb serve (pid {served.pid}) has not ended after {_STOP_S:g} s") from None
    if call.json:
        call.line(_as_json(store, None))
    else:
        call.say(f"phasenb serve: {'stopped' if served else 'not running'}")
    return Exit.DONE


def _detached(call: Call, store: str) -> int:
    """Start it in a session of its own; when this returns it answers, or its last words are told."""
    log = _beside(store, ".log")
    own = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "phasenb", "--json", "serve", "--foreground"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=own, start_new_session=True, text=True,
        )  # fmt: skip
    finally:
        os.close(own)
    assert process.stdout is not None
    with process.stdout as told:
        line = told.readline()  # written when it is ready; nothing where it ended before
    from phasenb.client.served import read_served

    served = read_served(store)
    if not line:
        code = process.wait()
        if served is not None:  # another one was quicker
            return _told(call, store, served)
        _tell_end(call, log)
        return code or Exit.NO_SERVER
    return _told(call, store, served)


def _tell_end(call: Call, log: Path) -> None:
    """Why it did not start: what it said itself, else the end of its log."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    try:
        told = orjson.loads(lines[-1])["error"]["message"]
    except (IndexError, KeyError, TypeError, orjson.JSONDecodeError):
        call.say("\n".join([*lines[-_LAST_LINES:], f"phasenb: serve did not start; its log is {log}"]))
    else:
        typer.echo(lines[-1] if call.json else f"phasenb: serve did not start: {told}", err=True)


def _foreground(call: Call, store: str) -> int:
    with _alone(store) as first:
        if not first:
            raise StoreUnavailable(store, "another `phasenb serve` is starting or stopping for it: try again")
        # jupyter_server and tornado: a second to import, which no other command needs.
        from phasenb.server.headless import HeadlessApp

        app = HeadlessApp.made(store)
        app.ready = lambda served: _told(call, store, served)
        app.start()
        if app.problem is not None:
            raise app.problem
    return Exit.DONE


@contextmanager
def _alone(store: str) -> Iterator[bool]:
    """Whether this process is the one of its store; a lock that ends with the process, however it ends."""
    path = _beside(store, ".lock")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600), "wb") as file:  # noqa: PTH123
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _beside(store: str, suffix: str) -> Path:
    from phasenb.client.served import runtime_file
    from phasenb.config.places import make_private_folder

    path = runtime_file(store)
    make_private_folder(path.parent)
    return path.with_suffix(suffix)
