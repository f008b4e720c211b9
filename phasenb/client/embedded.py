"""The embedded host: a Host in this process, and the backend that reaches it without a socket.

Rules: one host for a process, on the shared loop thread, started at the first launch; the messages between client and
host are those of the wire, handed over as they are: frozen values of the same types need no text between. A script's
exit waits for its live tasks (Ctrl-C ends the waiting); a kernel's does not: what runs there stops with it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson

from phasenb.client.answers import Answers
from phasenb.client.backend import AFTER_FAILURE_S, JsonObject, Link, Lost, Receive
from phasenb.client.loop_thread import LoopThread, shared_loop
from phasenb.codecs.objects import ObjectFolder
from phasenb.display.surroundings import in_kernel
from phasenb.errors import PhasenbError, ServerUnreachable
from phasenb.errors.shortage import named_shortage

if TYPE_CHECKING:
    from phasenb.config import Settings
    from phasenb.core.phase_manager import PhaseManager
    from phasenb.host import Host
    from phasenb.store.view import MemoryView
    from phasenb.web.api import TaskApi
    from phasenb.web.connection import Frame
    from phasenb.web.message_handler import WebSocketMessageHandler

log = logging.getLogger(__name__)

_LOOK_S = 0.05
_SOON_S = 0.5  # not worth a word: a task whose end was told a moment ago is still being put away
_STOP_S = 10.0


class EmbeddedHost:
    """A running Host on a loop thread. ``settings`` None: as configured for this machine. ``reading``: as for Host."""

    def __init__(self, thread: LoopThread, settings: Settings | None = None, *, reading: bool = False) -> None:
        self.thread = thread
        self._settings = settings
        self._reading = reading
        self._starting: asyncio.Task[tuple[Host, TaskApi]] | None = None
        self._stopped = False

    async def running(self) -> tuple[Host, TaskApi]:
        """The host, started at the first call. Raises ConfigError, StoreUnavailable; the next call tries again.

        To be awaited on the host's loop. ServerUnreachable once it was stopped: a client that lost it asks again.
        """
        if self._stopped:
            raise ServerUnreachable("this process", "its host was stopped")
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._start(), name="phasenb embedded host")
        try:
            return await asyncio.shield(self._starting)
        except BaseException as error:
            if self._starting is not None and self._starting.done():
                self._starting = None
            if isinstance(error, Exception) and (told := named_shortage(error)) is not error:
                raise told from error
            raise

    @property
    def live(self) -> int:
        """How many tasks it carries now that wait for no person."""
        manager = self._manager
        return 0 if manager is None else manager.running - manager.waiting

    @property
    def waiting(self) -> int:
        """How many tasks it carries now that wait for a person."""
        return 0 if self._manager is None else self._manager.waiting

    @property
    def _manager(self) -> PhaseManager | None:
        started = self._starting
        if started is None or not started.done() or started.cancelled() or started.exception():
            return None
        return started.result()[0].manager

    async def stop(self) -> None:
        """Let go of the tasks and close the store, for good. Idempotent."""
        self._stopped = True
        starting, self._starting = self._starting, None
        if starting is not None:
            host, _ = await starting
            host.hub.close()
            await host.stop()

    async def drained(self, within_s: float = math.inf) -> bool:
        """Return True when no task is live any more, those included that are launched meanwhile; False in time.

        Those that wait for a person are not waited for: nobody may ever answer.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while self.live and loop.time() < until:  # noqa: ASYNC110 - the manager tells of one task's end only
            await asyncio.sleep(_LOOK_S)
        return not self.live

    async def _start(self) -> tuple[Host, TaskApi]:
        # Imported late: a client of a server needs no host, and SQLAlchemy takes its time.
        from phasenb.config.jupyter_files import settings_here
        from phasenb.host import Host
        from phasenb.web.api import TaskApi

        settings = self._settings
        if settings is None:
            settings = await asyncio.to_thread(settings_here)
        host = Host(settings, embedded=True, reading=self._reading)
        await host.start()
        return host, TaskApi(host.manager)


class EmbeddedBackend(Answers):
    """``host``: the process's own one by default."""

    embedded = True
    url = "this process"

    def __init__(self, host: EmbeddedHost | None = None) -> None:
        self._host = host or process_host()
        self._folder: ObjectFolder | None = None

    async def connect(self, receive: Receive, lost: Lost) -> Link:
        from phasenb.web.identity import local_identity
        from phasenb.web.message_handler import WebSocketMessageHandler

        loop, own_loop = asyncio.get_running_loop(), self._host.thread.loop
        identity = local_identity()
        host, _ = await self._on_host(self._host.running())
        self._folder = ObjectFolder(host.store.objects_url(identity.owner))
        pipe = _Pipe(own_loop, loop, receive, lost)

        async def attach() -> WebSocketMessageHandler:
            handler = WebSocketMessageHandler(pipe, host.manager, host.hub, identity, server="phasenb (embedded)")
            handler.opened()
            return handler

        return _MemoryLink(pipe, await self._on_host(attach()))

    def input_folder(self) -> ObjectFolder | None:
        return self._folder

    def upload(self, hash: str, path: Path) -> None:
        raise AssertionError("an embedded host's inputs are written into its own folder")

    def download(self, hash: str, folder: ObjectFolder) -> None:
        raise AssertionError("an embedded host's objects are read from its own folder")

    async def memory(self, owner: str, session: str) -> MemoryView:
        host, _ = await self._on_host(self._host.running())
        view: MemoryView = host.store.view(owner, session)
        return view

    async def aclose(self) -> None:
        """The host goes on: other clients of this process use it too."""

    async def _asked(self, name: str, **arguments: Any) -> JsonObject:
        from phasenb.web.identity import local_identity
        from phasenb.web.nested import answer

        async def asked() -> bytes:
            _, api = await self._host.running()
            return b"".join([chunk async for chunk in answer(api, local_identity(), name, arguments)])

        return dict(await asyncio.to_thread(orjson.loads, await self._on_host(asked())))

    async def _on_host(self, work: Any) -> Any:
        """Await ``work`` on the host's loop, from whichever loop this is."""
        if asyncio.get_running_loop() is self._host.thread.loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._host.thread.loop))


class _Pipe:
    """The host's end of a link without a wire: web.connection.Connection.

    On one loop a frame is handed over at once; between two loops it is posted, which keeps the order too.
    """

    def __init__(
        self, host_loop: asyncio.AbstractEventLoop, loop: asyncio.AbstractEventLoop, receive: Receive, lost: Lost
    ) -> None:
        self.host_loop = host_loop
        self.loop = loop
        self.open = True
        self.left = False
        self.one_loop = loop is host_loop
        self.closed: Callable[[], None] = lambda: None  # the host's: the client has left
        self._receive = cast("Callable[[Frame], None]", receive)  # what a host sends is what the protocol knows
        self._lost = lost

    def write(self, frame: Frame) -> None:
        if not self.open:
            raise ConnectionError("the client has left")
        if self.one_loop:
            self._deliver(frame)
        else:
            self.loop.call_soon_threadsafe(self._deliver, frame)

    def _deliver(self, frame: Frame) -> None:
        if self.left:
            return
        try:
            self._receive(frame)
        except Exception:
            # Of the client's making, and none of the host's, which is telling others as well: a fresh link may do.
            log.exception("a message of the embedded host could not be taken")
            self.hang_up()
            self.loop.call_later(AFTER_FAILURE_S, self._lost, "a message could not be taken", None)

    @property
    def taken(self) -> int:
        """Nothing ever waits here: what is written is handed over."""
        return 0

    def hang_up(self) -> None:
        """The client hears nothing more."""
        self.left = True
        if self.open:
            self.open = False
            self.host_loop.call_soon_threadsafe(self.closed)

    def close(self, code: int, reason: str) -> None:
        if self.open:
            self.open = False
            self.loop.call_soon_threadsafe(self._lost, f"closed with {code} {reason}".strip(), None)


class _MemoryLink:
    """The client's end."""

    note = None

    def __init__(self, pipe: _Pipe, handler: WebSocketMessageHandler) -> None:
        self._pipe = pipe
        self._handler = handler
        pipe.closed = handler.closed
        self._turn = asyncio.Lock()  # frames are taken one after the other, as a socket's are

    async def send(self, command: str | JsonObject) -> None:
        assert not isinstance(command, str)  # see Link.send
        if not self._pipe.open:
            raise ConnectionError("the embedded host was stopped")
        if self._pipe.one_loop:
            await self._take(command)
        else:
            asyncio.run_coroutine_threadsafe(self._take(command), self._pipe.host_loop)

    async def close(self) -> None:
        self._pipe.hang_up()

    async def _take(self, command: JsonObject) -> None:
        async with self._turn:
            await self._handler.take(command)


# --- this process's host -----------------------------------------------------------------------------------------

_hosts: dict[int, EmbeddedHost] = {}


def process_host() -> EmbeddedHost:
    """This process's embedded host; made at the first call, started by the first client that connects."""
    host = _hosts.get(os.getpid())
    if host is None:
        host = _hosts[os.getpid()] = EmbeddedHost(shared_loop())
        # atexit would be too late: by then concurrent.futures starts no work any more (threading.py, _shutdown), and
        # the host reads and writes on such threads. Theirs is registered on import; the last registered runs first.
        import concurrent.futures.thread  # noqa: F401 - registers its own

        register: Callable[[Callable[[], None]], None] = vars(threading)["_register_atexit"]
        register(_at_exit)
    return host


def _at_exit() -> None:
    """Let live tasks end, unless this is a kernel or someone presses Ctrl-C; then stop the host."""
    host = _hosts.get(os.getpid())
    if host is None:
        return
    try:
        if not in_kernel() and not host.thread.run(host.drained(_SOON_S)):
            live = host.live
            tasks = "1 task runs" if live == 1 else f"{live} tasks run"
            sys.stderr.write(f"phasenb: {tasks} in this process: waiting (Ctrl-C stops it)\n")
            host.thread.run(host.drained())
    except KeyboardInterrupt:
        sys.stderr.write(f"phasenb: stopped, {host.live} unfinished\n")
    if host.waiting and not in_kernel():
        tasks = "1 task waits" if host.waiting == 1 else f"{host.waiting} tasks wait"
        sys.stderr.write(f"phasenb: {tasks} for a person's answer, kept in the store: the next process takes it up\n")
    stopping = asyncio.run_coroutine_threadsafe(host.stop(), host.thread.loop)
    try:
        stopping.result(_STOP_S)
    except (PhasenbError, TimeoutError) as error:
        sys.stderr.write(f"phasenb: the embedded host did not stop cleanly: {error}\n")
