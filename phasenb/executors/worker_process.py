"""A worker process as its host sees it: started, greeted, spoken to, ended.

Rules: everything here runs on the host's loop and never blocks it; what a worker says is data, never code; a worker
that breaks the protocol is killed. A process that ended is known by its exit, not by its socket, which a forked child
may hold open. ``run`` is the attempt in it, at most one.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from phasenb.core.memory_kills import MemoryFigures, held, out_of_memory
from phasenb.core.reports import LogChunk
from phasenb.errors import HostFrozen, LaunchError, OutOfMemory, PhasenbError, RuntimeMismatch, WorkerLost, from_wire
from phasenb.errors.shortage import NO_MORE, NO_THREADS
from phasenb.executors.feeding import Feeding
from phasenb.executors.frames import BadFrame, FrameParser, Header, frame
from phasenb.executors.guardian_process import GuardianProcess
from phasenb.executors.lines import LineFolder
from phasenb.executors.memory import WorkerMemory
from phasenb.executors.stalled_output import LOOK_S, StalledOutput
from phasenb.executors.worker_messages import PROTOCOL, nested_of, report_of

if TYPE_CHECKING:
    from phasenb.executors.process_run import ProcessRun

log = logging.getLogger(__name__)

START_S = 60.0
_EXIT_S = 3.0  # for the worker's own end: atexit handlers, temporary folders
_LAST_BYTES_S = 0.5
_PIPE_BYTES = 262_144  # a native writer that holds the GIL must not fill it: nobody could read then
_WORDS_BYTES = 65_536
# fork(2), pipe(2): what there is too little of, for now.
_SHORTAGES = {
    errno.EAGAIN: NO_MORE,
    errno.ENOMEM: "the machine is short of memory now",
    errno.EMFILE: "this host has too many files open (`ulimit -n`)",
    errno.ENFILE: "the machine has too many files open",
    errno.ENOBUFS: "the machine is short of buffers now",
}
_KILLERS = "from outside, or by itself as a phase closed its line to the host; no sign of memory that ran out"
_SILENT = (
    "for too long its host did not show that it lives (its event loop stood, or its store took no heartbeat), so "
    "another host may have the task"
)

NOT_KEPT = "(its last words are not kept, as it had secrets)"  # nobody is left who knows what to hide of them


class WorkerProcess(asyncio.Protocol):
    """Made by ``start``. ``on_exit`` is called once when the process is gone, however that came."""

    def __init__(self, executable: str) -> None:
        self.executable = executable
        self.pid = 0
        self.python = ""
        self.clean = True
        self.left: list[str] = []
        self.run: ProcessRun | None = None
        self.site: dict[str, int] = {}
        self.variables: str | None = None  # the name of those that its launcher gave it
        self.on_exit: Callable[[WorkerProcess], None] | None = None
        self.returncode: int | None = None
        self.runs = 0
        self._guardian: GuardianProcess
        self._transport: asyncio.Transport | None = None
        self._parser = FrameParser()
        self._answers: asyncio.Queue[Header | PhasenbError] = asyncio.Queue()
        self._asked = 1  # for its hello, before anyone waits for it
        self._had_secrets = False
        self._lost_connection = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._exited = asyncio.Event()
        self._killing: asyncio.Task[None] | None = None
        self._killed_for = ""
        self._watching: asyncio.Task[None]
        self._pipes: tuple[int, int] = (-1, -1)
        self._memory: WorkerMemory
        self._figures = MemoryFigures()
        self._stalled: StalledOutput | None = None
        self._spoken = 0

    @property
    def name(self) -> str:
        return f"process-{self.pid}"

    @property
    def alive(self) -> bool:
        return self._transport is not None and self.returncode is None and self._killing is None

    # --- its life ------------------------------------------------------------------------------------------------

    @classmethod
    async def start(
        cls,
        executable: str,
        silence_s: float | None = None,
        variables: Mapping[str, str] = os.environ,
        feeding: Feeding | None = None,
    ) -> WorkerProcess:
        """A worker that is ready; ``silence_s``, ``feeding``: see GuardianProcess. ``variables``: its environment.

        Raises LaunchError, RuntimeMismatch; WorkerLost where another time may do.
        """
        worker = cls(executable)
        try:
            async with asyncio.timeout(START_S):
                await worker._spawn(silence_s, variables, feeding)
                await worker._greet()
        except BaseException as error:
            if worker.pid:
                await asyncio.shield(worker.kill())
            if isinstance(error, TimeoutError):
                raise WorkerLost(f"of {executable}", f"was not ready within {START_S:.0f} s") from None
            if isinstance(error, OSError):
                raise not_started(executable, error) from error
            raise
        return worker

    async def _spawn(self, silence_s: float | None, variables: Mapping[str, str], feeding: Feeding | None) -> None:
        with ExitStack() as theirs, ExitStack() as ours:
            sock, its_sock = socket.socketpair()
            ours.callback(sock.close)
            theirs.callback(its_sock.close)
            reads, writes = [], []
            for _ in ("stdout", "stderr"):
                read, write = os.pipe()
                ours.callback(os.close, read)
                theirs.callback(os.close, write)
                _enlarge(write)
                reads.append(read)
                writes.append(write)
            self._guardian = await GuardianProcess.start(
                (self.executable, "-P", "-m", "phasenb.executors.worker"),
                variables,
                (its_sock.fileno(), *reads),
                (writes[0], writes[1]),
                silence_s,
                feeding,
            )
            ours.pop_all()  # from here on they are closed when the process has ended
        self.pid = self._guardian.pid
        self._memory = WorkerMemory(self.pid)
        self._pipes = (reads[0], reads[1])
        self._watching = asyncio.create_task(self._watch(), name=f"watch {self.name}")
        await asyncio.get_running_loop().create_connection(lambda: self, sock=sock)

    async def _greet(self) -> None:
        self._asked -= 1
        hello = await self._answered()
        self.python = str(hello.get("python"))
        if hello["type"] != "hello" or hello.get("protocol") != PROTOCOL:
            raise RuntimeMismatch(
                f"phasenb with worker protocol {PROTOCOL}",
                f"{self.executable}, whose phasenb speaks protocol {hello.get('protocol')}",
                "install the same release of phasenb in both environments",
            )
        ready = await self._answered()
        if ready["type"] != "ready":
            raise LaunchError(f"a worker of {self.executable} said {ready['type']!r} where it should be ready")
        self.site = {path: _changed_at(path) for path in map(str, ready["site"])}

    async def _watch(self) -> None:
        returncode = await self._guardian.wait()
        if self.run is not None or self._asked:
            # What it said last may not have been read yet.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._lost_connection.wait(), _LAST_BYTES_S)
        self.returncode = returncode
        if returncode == -signal.SIGKILL:
            self._figures = self._memory.figures(self._guardian.peak_bytes)
        if self._transport is not None:
            self._transport.close()
        words = self._last_words()
        if self._asked:
            self._answers.put_nowait(self._not_answered(words))
        if self.on_exit is not None:
            self.on_exit(self)
        run, self.run = self.run, None
        if run is not None:
            self._tell_rest(run)
            run.lost(words)
        self._exited.set()

    async def kill(self) -> None:
        """End it and all that it started; returns when it is gone. Idempotent."""
        if self._killing is None:
            self._killing = asyncio.create_task(self._kill(), name=f"kill {self.name}")
        await asyncio.shield(self._killing)

    async def _kill(self) -> None:
        if self.returncode is None:
            await self._guardian.end()
        await self._exited.wait()

    async def retire(self) -> None:
        """Let it end by itself (atexit handlers, temporary folders), and kill what is left after a moment."""
        if self.alive:
            self.send({"type": "exit"})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._exited.wait(), _EXIT_S)
        await self.kill()

    def ended_by(self) -> str:
        """Why the process ended, in words."""
        code = self.returncode
        if code is None:
            return "was lost"
        if self._killed_for:
            return f"was ended by its host: it {self._killed_for}"
        if code >= 0:
            return f"ended by itself, with exit code {code}"
        name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
        if code != -signal.SIGKILL:
            return f"was killed by {name}"
        of = held(self._figures)
        if out_of_memory(self._figures):
            return f"was killed by {name}, as memory ran out" + (f": {of}" if of else "")
        return f"was killed by {name}, {_KILLERS}" + (f" ({of})" if of else "")

    def loss(self, when: str) -> WorkerLost:
        """Its end as an error; ``when``: what it was about to do."""
        if self._guardian.frozen:
            return HostFrozen(self.name, f"was ended, {when}: this host was frozen")
        if self._guardian.silent:
            return WorkerLost(self.name, f"was ended, {when}: {_SILENT}")
        kind = OutOfMemory if not self._killed_for and out_of_memory(self._figures) else WorkerLost
        return kind(self.name, f"{self.ended_by()}, {when}")

    # --- what is said --------------------------------------------------------------------------------------------

    def begin(self, run: ProcessRun, log_bytes: int) -> None:
        """``run`` is the attempt in it from now on, of which ``log_bytes`` of lines are kept."""
        self.run = run
        self._memory.begin()
        self._stalled = None if run.secret else StalledOutput(self._pipes, log_bytes)
        self._look(run)

    def _look(self, run: ProcessRun) -> None:
        """Again and again while it runs: at what was written, in case the worker can't do it."""
        if self.run is not run or self._stalled is None or self.returncode is not None:
            return
        for lines in self._stalled.look(self._spoken):
            run.put(lines)
        asyncio.get_running_loop().call_later(LOOK_S, self._look, run)

    def send(self, header: Header, payload: bytes = b"") -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(header, payload))

    def room(self) -> Awaitable[None] | None:
        """What ends when the worker has taken most of what was sent, or is gone; None where it has already."""
        return None if self._writable.is_set() else self._until_writable()

    async def _until_writable(self) -> None:
        await self._writable.wait()

    async def ask(self, header: Header, payload: bytes = b"") -> Header:
        """Send, and wait for the answer. Raises what the worker refuses with; where it ends by itself LaunchError, and
        WorkerLost where it is killed.
        """
        self.clean = False  # until it has answered: whoever asked may not wait so long
        self._had_secrets = self._had_secrets or bool(header.get("secrets"))
        self.send(header, payload)
        answer = await self._answered()
        self._hear_left(answer)
        if answer["type"] == "refused":
            raise from_wire(answer["code"], answer["message"], answer["details"])
        return answer

    async def _answered(self) -> Header:
        self._asked += 1
        try:
            answer = await self._answers.get()
        finally:
            self._asked -= 1
        if isinstance(answer, PhasenbError):
            raise answer
        return answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost_connection.set()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._spoken += 1
        try:
            for header, payload in self._parser.feed(data):
                self._hear(header, payload)
        except BadFrame as error:
            log.warning("%s is killed: it sent %s", self.name, error)
            self._killed_for = f"sent {error} (does a phase change what Python itself needs?)"
            self._start_killing()

    def eof_received(self) -> bool:
        # A phase may have closed descriptors that are not its own. Without its line a worker is of no use.
        self._start_killing()
        return False

    def _start_killing(self) -> None:
        if self.returncode is None and self._killing is None:
            self._killing = asyncio.get_running_loop().create_task(self._kill(), name=f"kill {self.name}")

    def _hear(self, header: Header, payload: bytes) -> None:
        if "run" not in header:
            self._answers.put_nowait(header)
            return
        run = self.run
        if run is None or header["run"] != run.number:
            return  # a thread that a phase left behind
        if header["type"] == "nested":
            if run.nested is not None:
                run.nested.take(nested_of(header), payload)
            return
        report = report_of(header)
        if header["type"] == "outcome":
            self.run = None
            self._hear_left(header)
            self._tell_rest(run)
        if isinstance(report, LogChunk) and self._stalled is not None:
            for lines in self._stalled.sent(report):
                run.put(lines)
        else:
            run.report(report)

    def _tell_rest(self, run: ProcessRun) -> None:
        """The last lines of an attempt that the host has read lines of."""
        stalled, self._stalled = self._stalled, None
        if stalled is not None:
            for lines in stalled.end():
                run.put(lines)

    def _hear_left(self, header: Header) -> None:
        left = header.get("left")
        self.left = list(map(str, left)) if isinstance(left, list) else ["what it did not tell"]
        self.clean = not self.left

    # --- the end -------------------------------------------------------------------------------------------------

    def _last_words(self) -> dict[str, list[str]]:
        """What is left in the pipes, such as the traceback of a crash; the newest lines, by stream."""
        told = {}
        for stream, fd in zip(("stdout", "stderr"), self._pipes, strict=True):
            data = b""
            os.set_blocking(fd, False)
            with contextlib.suppress(BlockingIOError):
                while chunk := os.read(fd, _PIPE_BYTES):
                    data = (data + chunk)[-_WORDS_BYTES:]
            os.close(fd)
            folder = LineFolder()
            told[stream] = folder.feed(data.decode("utf-8", "replace")) + folder.end()
        return told

    def _not_answered(self, words: dict[str, list[str]]) -> PhasenbError:
        said = [line for line in words["stderr"] if line.strip()]
        if said and self._had_secrets:
            said = [NOT_KEPT]
        last = said[-1].strip() if said else "it said nothing"
        if "No module named" in last and "phasenb" in last:
            return LaunchError(
                f"phasenb is not installed for {self.executable}, where this launch comes from: run "
                f"`{self.executable} -m pip install phasenb` and launch again"
            )
        how = f"{self.ended_by()}, before it could answer: {last}"
        if NO_THREADS in last:  # its own first ones; the host ended what was left of it
            return WorkerLost(f"of {self.executable}", f"could not start its threads: {NO_MORE}")
        if said:  # what it is, only they may tell
            log.warning("a worker of %s %s; it said:\n%s", self.executable, self.ended_by(), "\n".join(said[-20:]))
        if self.returncode is not None and self.returncode < 0:  # not its own doing: another one may live
            return WorkerLost(f"of {self.executable}", how)
        return LaunchError(f"a worker of {self.executable} {how}")


def not_started(executable: str, error: OSError) -> PhasenbError:
    shortage = _SHORTAGES.get(error.errno or 0)
    if shortage is not None:
        return WorkerLost(f"of {executable}", f"could not be started ({error.strerror}): {shortage}")
    return LaunchError(
        f"the interpreter {executable} of this launch can't be started ({error.strerror}): restart the notebook's "
        "kernel in an environment that is there, and launch again"
    )


def _enlarge(fd: int) -> None:
    resize: int | None = getattr(fcntl, "F_SETPIPE_SZ", None)
    if resize is not None:
        with contextlib.suppress(OSError):  # over the user's quota of large pipes: the usual 64 KiB do as well
            fcntl.fcntl(fd, resize, _PIPE_BYTES)


def _changed_at(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - called for each launch: Path costs more than the stat
    except OSError:
        return 0


def packages_changed(worker: WorkerProcess) -> bool:
    """Whether a package was installed, upgraded or removed since the worker started: it may remember the old one."""
    return any(_changed_at(path) != at for path, at in worker.site.items())
