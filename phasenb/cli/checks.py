"""What ``phasenb doctor`` looks at: each check is a function that tells what it found, and what to do about it.

Rules: a check finds and changes nothing, except for a task of its own in a store in memory; a part that is not
installed here (JupyterLab, a server) is no fault; a check that fails stops none of the others.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson

from phasenb.cli.frame import Call
from phasenb.cli.places import client_of, find_server
from phasenb.client.discovery import HEALTH_S
from phasenb.config import Settings
from phasenb.config.layers import Setting
from phasenb.config.places import config_path, data_path
from phasenb.display.surroundings import widget_is_built
from phasenb.errors import AccessDenied, PhasenbError
from phasenb.errors.shortage import NO_MORE
from phasenb.web.message_protocol import PROTOCOL

if TYPE_CHECKING:
    from phasenb.client.embedded import EmbeddedHost

Status = Literal["ok", "note", "wrong"]
_WORKER_S = 60.0
_LITTLE_ROOM = 200_000_000  # bytes


@dataclass(frozen=True)
class Finding:
    """``todo``: what to do about it. ``note``: nothing is wrong, and it may still be news."""

    check: str
    status: Status
    text: str
    todo: str = ""


def installed() -> Iterator[Finding]:
    names = ("phasenb", "jupyter_server", "pandas", "SQLAlchemy")
    told = ", ".join(f"{name} {version(name)}" for name in names)
    python = f"Python {platform.python_version()} ({sys.executable}) on {platform.system()}"
    yield Finding("versions", "ok", f"{told}; {python}")


def configuration() -> tuple[Settings | None, list[Setting], Finding]:
    """The settings in force here, with the source of each. None where they can't be used."""
    from phasenb.config.jupyter_files import explain_here
    from phasenb.config.loading import DEFAULT

    try:
        settings, told = explain_here()
    except PhasenbError as error:
        return None, [], Finding("configuration", "wrong", str(error), "mend that file, variable or trait")
    own = sum(setting.source != DEFAULT for setting in told)
    text = f"{len(told)} values, {own} of them not by default (below)" if own else f"{len(told)} values, all by default"
    return settings, told, Finding("configuration", "ok", text)


def extension() -> Iterator[Finding]:
    from jupyter_server.extension.config import ExtensionConfigManager

    manager: Any = ExtensionConfigManager(read_config_path=config_path())  # it has no types
    known = manager.get_jpserver_extensions()
    if known.get("phasenb"):
        yield Finding("extension", "ok", "Jupyter servers of this environment load it")
        return
    said = "is disabled" if "phasenb" in known else "is not enabled"
    todo = "`jupyter server extension enable phasenb`, then start the Jupyter server again"
    yield Finding("extension", "wrong", f"the server extension {said} for Jupyter servers of this environment", todo)


def server(call: Call) -> Iterator[Finding]:
    """The server that commands use from here: reachable, with a good token, of a fitting version, socket and all."""
    try:
        found = find_server(call)
    except AccessDenied as error:
        yield _denied(error)
        return
    except PhasenbError as error:
        yield Finding("server", "wrong", str(error))
        return
    if found is None:
        todo = "`phasenb serve` starts one; JupyterLab with phasenb is one too"
        yield Finding("server", "note", "none was found: launches run in their own process", todo)
        return
    try:
        health = found.health(HEALTH_S)
        if health is None:
            todo = "install phasenb where that Jupyter server runs, and start it again"
            yield Finding("server", "wrong", f"{found.url} has no phasenb extension", todo)
            return
        with client_of(call, found) as client:
            client.ping()
            owner = client.owner
    except AccessDenied as error:
        yield _denied(error)
    except PhasenbError as error:
        yield Finding("server", "wrong", str(error), "its log says more")
    else:
        yield Finding("server", "ok", f"{found.url} answers over HTTP and socket; you are {owner} there")
        if found.socket_path is not None:
            text = f"{found.socket_path} (UNIX): no password, certificate, name or proxy is in the way"
            yield Finding("way to the server", "ok", text)
        yield from _fitting(health)


def _denied(error: AccessDenied) -> Finding:
    return Finding("token", "wrong", str(error), "give the server's token: --token, PHASENB_TOKEN, or in the URL")


def _fitting(health: dict[str, Any]) -> Iterator[Finding]:
    if health.get("problem"):
        todo = "once it can be used again its tasks go on by themselves"
        yield Finding("server store", "wrong", health["problem"], todo)
    mine, theirs = version("phasenb"), health["version"]
    if health["protocol"] != PROTOCOL:
        text = f"the server speaks protocol {health['protocol']}, this phasenb {PROTOCOL}"
        yield Finding("server version", "wrong", text, "install the same release of phasenb on both sides")
    elif mine != theirs:
        text = f"the server has phasenb {theirs}, this is {mine}; both speak protocol {PROTOCOL}"
        yield Finding("server version", "note", text, "start the server again if phasenb was upgraded")
    else:
        yield Finding("server version", "ok", f"phasenb {theirs}, protocol {PROTOCOL}, as here")


def store(settings: Settings) -> Iterator[Finding]:
    """The configured store: its place, whether it can be written, its file system, its version."""
    from phasenb.store.location import check, file_system, locate, mounts

    try:
        location = locate(settings.store_url)
        path = location.path
        if path is None:
            yield Finding("store", "note", "in memory: what is in it ends with its host", "set store.url to a path")
            return
        if settings.store.url is None and not path.parent.exists():
            yield _can_be_made(path)
            return
        check(location)
    except PhasenbError as error:
        yield Finding("store", "wrong", str(error), "set store.url (PHASENB_STORE_URL) to a path on a local disk")
        return
    kind = file_system(path.parent.resolve(), mounts()) or "unknown file system"
    free = shutil.disk_usage(path.parent).free
    where = f"{path} ({kind}, {free / 1e9:,.1f} GB free)"
    closed = [str(each) for each in (path.parent, path) if each.exists() and not os.access(each, os.W_OK)]
    if closed:
        yield Finding("store", "wrong", f"{where}: {closed[0]} can't be written", "give yourself the right to write it")
    elif free < _LITTLE_ROOM:
        yield _nearly_full(where)
    else:
        yield _looked_into(path, where, settings)


def _can_be_made(path: Path) -> Finding:
    """Whether the first launch can make the default store's folder: it is tried, and taken back."""
    there = next(folder for folder in path.parents if folder.exists())
    try:
        with tempfile.TemporaryDirectory(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        todo = "give yourself the right to write there, or set store.url (PHASENB_STORE_URL) to a path elsewhere"
        return Finding("store", "wrong", f"{path}: its folder can't be made in {there} ({error.strerror})", todo)
    if free < _LITTLE_ROOM:
        return _nearly_full(f"{path} ({free / 1e9:,.1f} GB free)")
    return Finding("store", "ok", f"{path}: not there yet, made by the first launch")


def _nearly_full(where: str) -> Finding:
    return Finding("store", "wrong", f"{where}: the disk is nearly full", "make room, or set store.url elsewhere")


def _looked_into(path: Path, where: str, settings: Settings) -> Finding:
    """Read-only at first: an old store is not migrated by looking at it. One of this release is opened as a host does,
    its artifacts folder too.
    """
    from phasenb.store.migrations import MIGRATIONS, version_of
    from phasenb.store.saver import MemorySaver

    known = MIGRATIONS[-1].number
    if not path.exists():
        return Finding("store", "ok", f"{where}: not there yet, made by the first launch")
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            cursor = connection.cursor()
            found = version_of(cursor, str(path), known)
            tasks = cursor.execute("SELECT count(*) FROM tasks").fetchone()[0] if found else 0
        if found == known:
            asyncio.run(MemorySaver.open(settings.store_url, artifacts=settings.store.artifacts).close())
    except PhasenbError as error:
        return Finding("store", "wrong", str(error))
    except sqlite3.Error as error:
        todo = "put a copy of it back, or set store.url (PHASENB_STORE_URL) to another path"
        return Finding("store", "wrong", f"{where}: {error}", todo)
    later = f", brought to {known} by the next host" if found < known else ""
    return Finding("store", "ok", f"{where}: version {found}{later}, {tasks:,} tasks")


def executor(settings: Settings) -> Iterator[Finding]:
    """Runs a task of one phase in a worker process, in a store in memory; and asks workers for the agents."""
    from phasenb.agents.workflow import Workflow
    from phasenb.client.embedded import EmbeddedBackend, EmbeddedHost
    from phasenb.client.loop_thread import shared_loop

    in_memory = settings.store.model_copy(update={"url": ":memory:", "artifacts": None})
    alone = settings.model_copy(update={"store": in_memory})
    flow = Workflow("doctor", phases=("check",)).with_options(executor="process", show=False)
    flow.phase("check")(_check)
    began = time.monotonic()
    host = None
    try:
        host = EmbeddedHost(shared_loop(), alone)
        with client_of(Call(), EmbeddedBackend(host)) as client:
            pid = client.launch(flow).result(timeout=_WORKER_S)
    except (PhasenbError, TimeoutError) as error:
        todo = "" if NO_MORE in str(error) else f"see that {sys.executable} can start"
        yield Finding("executor", "wrong", f"no worker ran a phase: {error}", todo)
    else:
        took = time.monotonic() - began
        text = f"process: a worker (pid {pid}) ran a phase in {took:.1f} s; {settings.workers} at most"
        yield Finding("executor", "ok", text)
        yield from _agents(host, settings)
    finally:
        if host is not None:
            host.thread.run(host.stop())


def _agents(host: EmbeddedHost, settings: Settings) -> Iterator[Finding]:
    """Has a worker load each registered agent."""
    manager = host.thread.run(host.running())[0].manager
    for name, target in sorted(settings.agents.items()):
        try:
            spec = host.thread.run(manager.agent_spec("doctor", name))
        except PhasenbError as error:
            todo = f"mend `agents.{name}` ({target}), or install what it needs"
            yield Finding(f"agent {name}", "wrong", str(error), todo)
        else:
            yield Finding(f"agent {name}", "ok", f"{target} has the phases {', '.join(spec.phases)}")


def _check() -> int:
    return os.getpid()


def kernels() -> Iterator[Finding]:
    """Starts a worker in the environment of each Python kernel that is not this one, and reads its hello: a launch from
    such a kernel runs there.
    """
    from phasenb.errors import LaunchError
    from phasenb.executors.worker_process import WorkerProcess

    async def greeted(executable: str) -> str:
        worker = await WorkerProcess.start(executable)
        await worker.retire()
        return worker.python

    for name, executable in _other_pythons().items():
        check = f"kernel {name}"
        try:
            python = asyncio.run(greeted(executable))
        except LaunchError as error:  # a kernel that launches nothing needs no phasenb
            yield Finding(check, "note", str(error))
        except PhasenbError as error:
            yield Finding(check, "wrong", str(error), f"`{executable} -m pip install phasenb=={version('phasenb')}`")
        else:
            yield Finding(check, "ok", f"{executable} (Python {python}) starts workers of this release")


def _other_pythons() -> dict[str, str]:
    """``{kernel: its interpreter}`` of the installed kernels of Python, this interpreter's left out."""
    from jupyter_client.kernelspec import KernelSpecManager

    manager: Any = KernelSpecManager()  # it has no types
    found: dict[str, str] = {}
    for name, each in manager.get_all_specs().items():
        command = each["spec"]["argv"][0]
        executable = shutil.which(command)
        own = command in ("python", "python3") or executable == sys.executable
        if each["spec"].get("language") == "python" and executable is not None and not own:
            found[name] = executable
    return found


def browser() -> Iterator[Finding]:
    """What a notebook's front end needs: the labextension, and anywidget where it is not there."""
    try:
        lab = version("jupyterlab")
    except PackageNotFoundError:
        yield Finding("browser", "note", "JupyterLab is not installed in this environment")
        return
    found = _labextension("phasenb")
    widgets = f"anywidget {version('anywidget')}"
    if found is not None:
        built = orjson.loads(found.read_bytes()).get("version", "?")
        text = f"JupyterLab {lab} has the phasenb labextension {built} ({found.parent}); {widgets}"
        yield Finding("browser", "ok", text)
    elif _labextension("anywidget") is not None and widget_is_built():
        text = f"JupyterLab {lab} has no phasenb labextension: cells show tasks with {widgets}, and there is no panel"
        yield Finding("browser", "note", text, "install phasenb from its wheel, which brings it")
    else:
        text = f"JupyterLab {lab} has neither the phasenb labextension nor its widget: cells show tasks without buttons"
        yield Finding("browser", "note", text, "install phasenb from its wheel, which brings both")


def _labextension(name: str) -> Path | None:
    """The package.json of a labextension that is installed."""
    places = (Path(folder) / name / "package.json" for folder in data_path("labextensions"))
    return next((place for place in places if place.is_file()), None)
