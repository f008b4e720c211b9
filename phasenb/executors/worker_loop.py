"""The worker's main thread: one command after another, each to its end.

Rules:

* An attempt leaves nothing behind for the next one: its code has a ``__main__`` and context variables of its own, and
  what it changed in the process is put back (baseline, which keeps what imports set up). What can't be makes the worker
  unclean, and the host retires it after its task: modules of the launcher's own (so that an edited helpers.py is seen
  anew), threads and child processes that still run.
* What a task left for the garbage collector is collected at its release, into nobody's log. What there is before a task
  is frozen, so that a collection looks at the task's own objects.
* A forked child is no worker: see executors.forked.
"""

from __future__ import annotations

import contextvars
import gc
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import cloudpickle  # noqa: F401 - now, while nobody waits: the first task would import it
import orjson

from phasenb.core.bars import Bars
from phasenb.core.context import Context
from phasenb.core.parent import Message, ParentTask, process_runs
from phasenb.core.real_clock import monotonic
from phasenb.core.reports import Attempt, LogChunk, Outcome, Report
from phasenb.dto.phase_result import ResultStatus
from phasenb.dto.values import Json
from phasenb.errors import PhasenbError
from phasenb.executors import figures, forked, progress_bars
from phasenb.executors.baseline import Baseline, ImportWatch
from phasenb.executors.capture import Capture
from phasenb.executors.environment import become
from phasenb.executors.figures import SHOWN
from phasenb.executors.frames import Header
from phasenb.executors.left_threads import LeftThreads
from phasenb.executors.loading import describe_failure, load_agent
from phasenb.executors.local_modules import LocalModules, site_directories
from phasenb.executors.owned_streams import use_pipes
from phasenb.executors.performing import Performance, cancelled_error, folder_at, set_variables
from phasenb.executors.progress_bars import watch_bars
from phasenb.executors.secrets import Masker
from phasenb.executors.task_main import TaskMains
from phasenb.executors.worker_io import Channel, Interrupts, WorkerIO
from phasenb.executors.worker_messages import attempt_of, nested_message, report_message

_THAW_S = 10.0  # how often what was frozen and is garbage since goes: to look at all there is takes 40 ms and more


class Worker:
    """``serve`` returns when the host says ``exit``; the interpreter then ends as any other does."""

    def __init__(self, channel: Channel, stdout_fd: int, stderr_fd: int) -> None:
        self._channel = channel
        self._run = 0
        self._left = LeftThreads()
        self._capture = Capture(stdout_fd, stderr_fd, self._send, self._left)
        self._interrupts = Interrupts(channel)
        self._io = WorkerIO(channel, self._capture, self._interrupts)
        self._mains = TaskMains()
        self._codes: dict[int, Json] = {}
        self._modules = LocalModules()
        self._own = dict(os.environ)
        self._descriptors = tuple(map(os.dup, (0, 1, 2)))
        self._thawed_at = monotonic()
        self._forked = False
        self._performance: Performance | None = None
        self._streams = use_pipes(self._left)
        self._capture.know(*self._streams)
        self._interrupts.install()
        self._baseline = Baseline()
        SHOWN.find = self._context
        ImportWatch(self._baseline, _alone, self._when_loaded()).install()
        self._baseline.take()

    def serve(self) -> None:
        self._baseline.put_back()  # at once, so that it can't be this that the first task finds changed
        os.register_at_fork(before=forked.flush, after_in_child=self._in_child)
        gc.freeze()
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
        sys.path[:0] = [path for path in header["sys_path"] if path not in sys.path]
        self._baseline.take()

    def _attempt(self, header: Header, payload: bytes) -> None:
        running = self._io.running
        assert running is not None, "the I/O thread hears a run before this thread does"
        self._run = running.run
        attempt = attempt_of(header, self._code(header, payload))
        performance = Performance(attempt, partial(self._report, self._run), header["found"])
        self._performance = running.performance = performance
        if running.cancelled:
            performance.cancel()
        for fd, copy in enumerate(self._descriptors):
            os.dup2(copy, fd)  # an attempt before may have closed or redirected them
        self._capture.begin(attempt.log_bytes, performance.masker.text if attempt.secrets else None)
        running.parent = parent = self._parent(header, attempt)
        with self._capture.python(), self._mains.fresh(), process_runs(parent):
            outcome = self._perform(performance)
            if parent is not None:
                parent.end()
        self._put_back()
        self._io.running = self._performance = None
        self._capture.end()
        self._channel.send({**report_message(outcome, self._run), "left": self._left_behind()})

    def _parent(self, header: Header, attempt: Attempt) -> ParentTask | None:
        """What is launched in the phase belongs to its task, where the host says how."""
        told = header.get("parent")
        if told is None:
            return None
        run = self._run

        def send(message: Message, payload: bytes) -> None:
            self._channel.send(nested_message(message, run), payload)

        return ParentTask(
            task_id=attempt.task_id,
            session=told["session"],
            notebook=told["notebook"],
            url=told["url"],
            objects_url=attempt.objects_url,
            send=send,
            secrets=attempt.secrets,
        )

    def _perform(self, performance: Performance) -> Outcome:
        try:
            self._interrupts.arm(lambda: performance.noticed)
            outcome = contextvars.copy_context().run(performance.perform)
            self._interrupts.armed = False
        except BaseException as error:
            if performance.in_child:
                forked.leave(error)
            if not isinstance(error, KeyboardInterrupt):
                raise
            # It came a moment late: the phase was over, and the line after it not reached.
            return Outcome(ResultStatus.CANCELLED, error=cancelled_error(performance.attempt.phase))
        if performance.in_child:
            forked.leave(None)
        return outcome

    def _when_loaded(self) -> dict[str, Callable[[], object]]:
        """What is done with libraries that show things, once they are there."""
        return {
            progress_bars.MODULE: partial(watch_bars, self._bars, pageless=True),
            figures.MATPLOTLIB: figures.choose_backend,
            figures.DISPLAY: figures.watch_display,
            figures.PLOTLY: figures.choose_renderer,
            figures.PIL_SHOW: figures.add_viewer,
        }

    def _context(self) -> Context | None:
        """That of the attempt that runs, for what the calling thread shows now."""
        performance = self._performance
        return None if performance is None or self._left.silent() else performance.ctx

    def _bars(self) -> Bars | None:
        ctx = self._context()
        return None if ctx is None else ctx.bars

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
        self._put_back()
        self._channel.send({**answer, "left": self._left_behind()})

    def _release(self) -> None:
        """Forget the task."""
        self._codes.clear()
        if monotonic() - self._thawed_at >= _THAW_S:
            self._thawed_at = monotonic()
            gc.unfreeze()
        gc.collect()  # until then a library's class still lists what a task's code derived from it
        gc.freeze()  # what is left are libraries: the next collection need not look at them

    # --- inside --------------------------------------------------------------------------------------------------

    def _code(self, header: Header, payload: bytes) -> Json:
        number = header["code"]
        if number is None:
            return None
        if payload:
            self._codes[number] = orjson.loads(payload)
        return self._codes[number]

    def _report(self, run: int, report: Report) -> None:
        if not isinstance(report, LogChunk):
            self._channel.send(report_message(report, run))
        elif run == self._run:  # else it is told by a thread that an attempt before left behind
            self._capture.add(report)

    def _send(self, chunk: LogChunk) -> None:
        self._channel.send(report_message(chunk, self._run))

    def _put_back(self) -> None:
        """All of it, before the host hears whether the worker is clean: it may give it the next task at once."""
        self._baseline.put_back()
        self._left.note((threading.main_thread(), self._io))

    def _left_behind(self) -> list[str]:
        """What can't be put back. Where it is nothing, a task of the same launcher may run here after this one."""
        others = {
            "threads": not _alone(),
            "closed streams": any(stream.closed for stream in (sys.stdin, sys.stdout, sys.stderr)),
            "modules of the launcher's own": self._modules.imported(),
            "child processes": _children(),
        }
        return sorted(self._baseline.stays) + [what for what, there in others.items() if there]

    def _in_child(self) -> None:
        """What comes right after a fork, in the child; not in a child's own."""
        if self._forked:
            return
        self._forked = True
        for part in (self._channel, self._capture, self._interrupts):
            part.in_child()
        for stream in self._streams:
            stream.in_child()
        self._left.forget()
        for fd in self._descriptors:
            os.close(fd)
        if self._performance is not None:
            self._performance.in_child = True


def _alone() -> bool:
    """Whether this thread and the I/O thread are all that run."""
    return threading.active_count() <= 2


def _refusal(error: PhasenbError, masker: Masker) -> dict[str, Any]:
    said = {"message": masker.text(str(error)), "details": masker.value(error.details)}
    return {"type": "refused", "code": error.code, **said}


def _children() -> bool:
    """Whether something that the worker started runs still. Asked of the kernel (Linux); elsewhere none is seen.

    Its orphans are its guardian's children beside it, which it has from the moment that their parent ended.
    """
    parent = os.getppid()
    try:
        threads = [f"/proc/self/task/{thread}/children" for thread in os.listdir("/proc/self/task")]  # noqa: PTH208
        lists = [*threads, f"/proc/{parent}/task/{parent}/children"]
        pids = {int(pid) for each in lists for pid in _bytes_of(each).split()}
    except OSError:
        return False
    return any(map(_runs, pids - {os.getpid()}))


def _bytes_of(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - after each attempt: Path costs more than the reading
        return file.readall()


def _runs(pid: int) -> bool:
    """And is not only unburied: whose child it is asks for its returncode, and is not robbed of it. See proc(5)."""
    try:
        state = _bytes_of(f"/proc/{pid}/stat").rpartition(b") ")[2][:1]
    except OSError:
        return False
    return state not in b"ZX"
