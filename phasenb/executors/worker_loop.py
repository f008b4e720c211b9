"""The worker's main thread: one command after another, each to its end.

Rules: a task leaves nothing behind for the next one: its code has a ``__main__`` of its own, directory, environment,
path, signal handler and streams are put back. What can't be put back makes the worker unclean, and the host retires it:
modules of the launcher's own (so that an edited helpers.py is seen anew), threads and child processes that still run.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import cloudpickle  # noqa: F401 - now, while nobody waits: the first task would import it
import orjson

from phasenb.core.reports import LogChunk, Outcome, Report
from phasenb.dto.phase_result import ResultStatus
from phasenb.dto.values import Json
from phasenb.errors import PhasenbError
from phasenb.executors.capture import Capture, use_pipes
from phasenb.executors.environment import become
from phasenb.executors.frames import Header
from phasenb.executors.loading import describe_failure, load_agent
from phasenb.executors.local_modules import LocalModules, site_directories
from phasenb.executors.performing import Performance, cancelled_error, folder_at, set_variables
from phasenb.executors.secrets import Masker
from phasenb.executors.task_main import TaskMains
from phasenb.executors.worker_io import Channel, Interrupts, WorkerIO
from phasenb.executors.worker_messages import attempt_of, report_message


class Worker:
    """``serve`` returns when the host says ``exit``; the interpreter then ends as any other does."""

    def __init__(self, channel: Channel, stdout_fd: int, stderr_fd: int) -> None:
        self._channel = channel
        self._run = 0
        self._capture = Capture(stdout_fd, stderr_fd, self._send)
        self._interrupts = Interrupts(channel)
        self._io = WorkerIO(channel, self._capture, self._interrupts)
        self._mains = TaskMains()
        self._codes: dict[int, Json] = {}
        self._modules = LocalModules()
        self._streams = (sys.stdin, sys.stdout, sys.stderr)
        self._outputs = (os.dup(1), os.dup(2))
        self._pid = os.getpid()
        self._own = dict(os.environ)
        self._home = self._state()

    def serve(self) -> None:
        use_pipes()
        faulthandler.enable(file=2)  # a crash in C tells where it was: the host finds it in the pipe
        self._interrupts.install()
        self._io.start()
        self._channel.send({"type": "ready", "site": site_directories()})
        while True:
            header, payload = self._io.commands.get()
            kind = header["type"]
            if kind == "exit":
                return
            if kind == "run":
                self._attempt(header, payload)
            elif kind == "describe":
                self._describe(header, payload)
            elif kind == "release":
                self._release()
            elif kind == "bind":
                self._bind(header, payload)

    # --- commands ------------------------------------------------------------------------------------------------

    def _bind(self, header: Header, payload: bytes) -> None:
        """Take a launcher's place: its variables, its directory, and its path before the interpreter's own."""
        become(self._own, payload)
        os.chdir(header["cwd"])
        added = [path for path in header["sys_path"] if path not in sys.path]
        sys.path[:0] = added
        self._home = self._state()

    def _attempt(self, header: Header, payload: bytes) -> None:
        running = self._io.running
        assert running is not None, "the I/O thread hears a run before this thread does"
        self._run = running.run
        attempt = attempt_of(header, self._code(header, payload))
        running.performance = performance = Performance(attempt, self._report, header["found"])
        if running.cancelled:
            performance.cancel()
        for fd, output in enumerate(self._outputs, start=1):
            os.dup2(output, fd)  # an attempt before may have closed or redirected them
        self._capture.begin(attempt.log_bytes, performance.masker.text if attempt.secrets else None)
        with self._capture.python(), self._mains.fresh():
            outcome = self._perform(performance)
        if os.getpid() != self._pid:
            os._exit(1)  # a child that the phase forked came back as its parent: it is not this worker
        self._io.running = None
        self._capture.end()
        self._channel.send({**report_message(outcome, self._run), "clean": self._clean()})

    def _perform(self, performance: Performance) -> Outcome:
        try:
            self._interrupts.armed = True
            outcome = performance.perform()
            self._interrupts.armed = False
        except KeyboardInterrupt:  # a moment late: the phase was over, and this line not reached
            return Outcome(ResultStatus.CANCELLED, error=cancelled_error(performance.attempt.phase))
        return outcome

    def _describe(self, header: Header, payload: bytes) -> None:
        masker = Masker()
        try:
            set_variables(header["env"], header["secrets"], header["found"], masker)
            code = self._code(header, payload)
            with self._mains.fresh():
                agent = load_agent(header["agent"], code, folder_at(header["objects_url"]))
                spec = agent.described().model_dump(mode="json")
        except Exception as error:  # what a person's module or factory raises
            answer = _refusal(describe_failure(error), masker)
        except SystemExit as error:
            answer = _refusal(describe_failure(RuntimeError(f"it calls sys.exit({error.code!r})")), masker)
        else:
            answer = {"type": "described", "spec": spec}
        self._channel.send({**answer, "clean": self._clean()})

    def _release(self) -> None:
        """Forget the task."""
        self._mains.forget()
        self._codes.clear()
        cwd, path, environment = self._home
        os.chdir(cwd)
        sys.path[:] = path
        sys.stdin, sys.stdout, sys.stderr = self._streams
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)
        signal.set_wakeup_fd(-1)
        self._interrupts.install()

    # --- inside --------------------------------------------------------------------------------------------------

    def _code(self, header: Header, payload: bytes) -> Json:
        number = header["code"]
        if number is None:
            return None
        if payload:
            self._codes[number] = orjson.loads(payload)
        return self._codes[number]

    def _report(self, report: Report) -> None:
        if isinstance(report, LogChunk):
            self._capture.add(report)
        else:
            self._send(report)

    def _send(self, report: Report) -> None:
        assert not isinstance(report, Outcome), "an outcome is sent with what is left behind"
        self._channel.send(report_message(report, self._run))

    def _clean(self) -> bool:
        """Whether a task of the same launcher may run here after this one."""
        if threading.active_count() > 2 or any(stream.closed for stream in self._streams):
            return False
        return not self._modules.imported() and not _children()

    def _state(self) -> tuple[str, list[str], dict[str, str]]:
        return str(Path.cwd()), list(sys.path), dict(os.environ)


def _refusal(error: PhasenbError, masker: Masker) -> dict[str, Any]:
    said = {"message": masker.text(str(error)), "details": masker.value(error.details)}
    return {"type": "refused", "code": error.code, **said}


def _children() -> bool:
    """Whether something that the worker started runs still. Asked of the kernel (Linux); elsewhere none is seen.

    Its orphans are its guardian's children beside it, which it has from the moment that their parent ended.
    """
    parent = os.getppid()
    try:
        lists = [*Path("/proc/self/task").glob("*/children"), Path(f"/proc/{parent}/task/{parent}/children")]
        pids = {int(pid) for each in lists for pid in each.read_bytes().split()}
    except OSError:
        return False
    return any(map(_runs, pids - {os.getpid()}))


def _runs(pid: int) -> bool:
    """And is not only unburied: whose child it is asks for its returncode, and is not robbed of it. See proc(5)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1]
    except OSError:
        return False
    return state not in b"ZX"
