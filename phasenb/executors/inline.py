"""InlineExecutor: phases in threads of this process, for the embedded host only. A server never offers it.

Rules and what they cost:

* Phases share this process: its memory, its GIL, its working directory. One that crashes in C takes the notebook along.
* Arguments are decoded and outputs encoded in the thread, as in a worker: a phase never gets the launcher's objects.
  The code's variables are those of the launch; its classes are the notebook's own. ``__main__`` stays the notebook's.
* Cancelling is ``ctx.cancelled``, then an exception in the phase's thread, unless it has noticed. Python raises it at
  the next bytecode: a long call of C (``time.sleep``, a fit of a model) goes on until it returns, and nobody can end
  it. After the grace the attempt counts as cancelled although its thread may still be in that call; what it returns
  then is not kept, and what it launches then is refused.
* The loop is woken once for what all threads have told since its last turn (executors.mailbox).
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from time import sleep

from phasenb.codecs.names.home import inline_home
from phasenb.core.bars import Bars
from phasenb.core.context import Cancelled
from phasenb.core.parent import Message, ParentTask, context_runs
from phasenb.core.ports import NONE, Nested, NestedLine, Run, Slot
from phasenb.core.reports import Attempt, LogChunk, Outcome, Report
from phasenb.dto.agent_spec import AgentSpec
from phasenb.dto.launch import Runtime
from phasenb.dto.phase_result import ResultStatus
from phasenb.dto.values import Json
from phasenb.errors import LaunchError
from phasenb.executors import inline_output
from phasenb.executors.inline_output import Output
from phasenb.executors.inline_threads import Threads
from phasenb.executors.loading import describe_failure, load_agent
from phasenb.executors.mailbox import Mailbox
from phasenb.executors.performing import Performance, cancelled_error, folder_at
from phasenb.executors.progress_bars import BarsToCome, watch_bars
from phasenb.executors.reports import COURTESY_S, StoppableRun

log = logging.getLogger(__name__)

FLUSH_S = 0.05


class InlineRun(StoppableRun):
    """ports.Run of one attempt in a thread. Methods named ``_in_thread`` run there, all others on the loop."""

    def __init__(self, executor: InlineExecutor, attempt: Attempt) -> None:
        super().__init__(attempt.phase)
        self._executor = executor
        self._mailbox = executor.mailbox()
        self._lock = threading.Lock()
        self._telling = threading.Lock()  # lines that were taken are sent before anything that comes later
        self._begun = False  # before that the thread is nobody's to interrupt
        self._over = False  # the phase's code is left: no interrupt may be sent any more
        self._interrupted = False
        self.output = Output(attempt.log_bytes)
        self.performance = Performance(attempt, self._emit_in_thread)
        self._nested, self._parent = _nested(executor.nested, attempt)
        self._thread = executor.threads.take()
        executor.watch(self)
        self._thread.inbox.put(self._in_thread)

    # --- the thread's side ---------------------------------------------------------------------------------------

    def _in_thread(self) -> bool:
        """The thread's job; whether the thread may be used again."""
        try:
            # An empty context: what a phase sets in one is gone with it.
            outcome = contextvars.Context().run(self._perform_in_thread)
        except Cancelled:  # the interrupt came a moment late, when the phase was already left
            outcome = Outcome(ResultStatus.CANCELLED, error=cancelled_error(self._phase))
        with self._lock:
            self._over = True
            again = not self._interrupted
        self._executor.unwatch(self)
        if again:
            self._executor.threads.put(self._thread)
        with self._telling:
            self._send_in_thread([*self.output.end(), outcome])
        return again

    def _perform_in_thread(self) -> Outcome:
        inline_output.current.set(self.output)
        _performing.set(self.performance)
        with self._lock:
            self._begun = True
            if self._interrupted:
                raise Cancelled
        with inline_home(), context_runs(self._parent):
            outcome = self.performance.perform()
            if self._parent is not None:
                self._parent.end()
        with self._lock:
            self._over = True
        return outcome

    def _emit_in_thread(self, report: Report) -> None:
        if isinstance(report, LogChunk):
            self.output.log(report)
        else:
            self._send_in_thread([report])

    def flush_in_thread(self) -> None:
        """What the executor's flushing thread calls now and then."""
        self.performance.flush(self.output.heard, self.output.unfinished())
        with self._telling:
            while (chunk := self.output.take()) is not None:
                self._send_in_thread([chunk])

    def _send_in_thread(self, reports: list[Report]) -> None:
        self._mailbox.put((self, reports))

    # --- the loop's side -----------------------------------------------------------------------------------------

    def receive(self, reports: list[Report]) -> None:
        for report in reports:
            if isinstance(report, Outcome):
                self._end(report)
            else:
                self.put(report)

    def _end(self, outcome: Outcome) -> None:
        super()._end(outcome)
        self._cut()

    def _cut(self) -> None:
        """No client inside is heard any more, also where the thread goes on. Idempotent."""
        if self._nested is not None and self._parent is not None:
            self._nested.end()
            self._parent.cut()

    async def _interrupt(self, grace_s: float) -> None:
        """A call of C can't be ended, and is not waited for."""
        courtesy_s = min(COURTESY_S, grace_s / 2)
        self.performance.cancel()
        if not await self._ends_within(courtesy_s):
            self._raise_in_thread()
            if not await self._ends_within(grace_s - courtesy_s):
                self._tell_force("its thread can't be ended by force, and may go on for itself")
        self._cut()

    async def _hurry(self) -> None:
        self._ended.set()

    def _raise_in_thread(self) -> None:
        import ctypes  # only a cancel needs it

        with self._lock:
            if self._over or self._interrupted or self.performance.noticed:
                return
            self._interrupted = True
            if not self._begun:
                return
            raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
            thread, exception = ctypes.c_ulong(self._thread.ident or 0), ctypes.py_object(Cancelled)
            if not self.performance.noticed:  # asked last: from here to the call no other thread has its turn
                raise_in(thread, exception)


_performing: ContextVar[Performance | None] = ContextVar("phasenb_performance", default=None)


def _bars() -> Bars | None:
    """Of the phase that runs in this thread."""
    performance = _performing.get()
    return None if performance is None else performance.bars


def _nested(nested: Nested | None, attempt: Attempt) -> tuple[NestedLine | None, ParentTask | None]:
    """The two ends of an attempt's line for clients inside: the loop's, the thread's."""
    if nested is None:
        return None, None
    loop = asyncio.get_running_loop()

    def send(message: Message, payload: bytes) -> None:
        with suppress(RuntimeError):  # the host's loop is closed: the phase has outlived it
            loop.call_soon_threadsafe(line.take, message, payload)

    parent = ParentTask(
        task_id=attempt.task_id,
        session=attempt.session,
        notebook=attempt.notebook,
        url=nested.url,
        objects_url=attempt.objects_url,
        send=send,
    )
    line = nested.open(attempt, parent.deliver)
    return line, parent


def _receive(told: tuple[InlineRun, list[Report]]) -> None:
    run, reports = told
    run.receive(reports)


class InlineSlot:
    """ports.Slot: a thread for each attempt of a task."""

    alive = True

    def __init__(self, executor: InlineExecutor) -> None:
        self._executor = executor

    @property
    def worker(self) -> str:
        return "inline"

    def run(self, attempt: Attempt) -> Run:
        return InlineRun(self._executor, attempt)

    async def release(self) -> None:
        """See ports.Slot: nothing is left of a task."""


class InlineExecutor:
    """ports.Executor. ``runtime`` says nothing here: the launcher's environment is this process's."""

    kind = "inline"
    sets_variables = False  # they would be the whole notebook's

    def __init__(self, capacity: int = 32, nested: Nested | None = None) -> None:
        self.capacity = capacity
        self.nested = nested
        self.threads = Threads()
        self._running: set[InlineRun] = set()
        self._busy = threading.Event()
        self._closed = False
        self._flusher: threading.Thread | None = None
        self._mailbox: Mailbox[tuple[InlineRun, list[Report]]] | None = None
        self._unwatch_bars: Callable[[], None] | None = None
        self._bars_to_come = BarsToCome(self._watch_bars)

    def mailbox(self) -> Mailbox[tuple[InlineRun, list[Report]]]:
        """What the threads' reports reach this loop by; one for all runs, as it wakes the loop once for all."""
        if self._mailbox is None or not self._mailbox.here:
            self._mailbox = Mailbox(_receive)
        return self._mailbox

    def refusal(self, runtime: Runtime | None) -> None:
        """See ports.Executor: never."""

    def warm(self, owner: str, runtime: Runtime | None, *, fresh: bool = False) -> Slot | None:
        """See ports.Executor: always ready."""
        return InlineSlot(self)

    async def reserve(self, owner: str, runtime: Runtime | None, *, fresh: bool = False) -> Slot:
        """See ports.Executor: never waits."""
        return InlineSlot(self)

    async def describe(
        self,
        owner: str,
        runtime: Runtime | None,
        agent: str | None,
        code: Json,
        objects_url: str,
        *,
        env: Mapping[str, str] = NONE,
        secrets: Mapping[str, str] = NONE,
    ) -> AgentSpec:
        """See ports.Executor."""

        def spec() -> AgentSpec:
            try:
                with inline_home():
                    return load_agent(agent, code, folder_at(objects_url)).described()
            except Exception as error:  # what a person's module or factory raises
                raise describe_failure(error) from error
            except SystemExit as error:
                raise LaunchError(f"the agent can't be made: it calls sys.exit({error.code!r})") from error

        return await asyncio.to_thread(spec)

    async def close(self) -> None:
        """Let threads end, and give print() back."""
        self._closed = True
        self.threads.close()
        self._busy.set()
        inline_output.unroute()
        self._bars_to_come.end()
        if self._unwatch_bars is not None:
            self._unwatch_bars()

    # --- what waits to be told -----------------------------------------------------------------------------------

    def watch(self, run: InlineRun) -> None:
        """Have a run's reports flushed while it runs."""
        inline_output.route()
        self._watch_bars()
        self._running.add(run)
        if self._flusher is None:
            self._flusher = threading.Thread(target=self._flush, name="phasenb-flush", daemon=True)
            self._flusher.start()
        if not self._busy.is_set():
            self._busy.set()

    def _watch_bars(self) -> None:
        self._unwatch_bars = watch_bars(_bars) or self._unwatch_bars
        self._bars_to_come.wait()

    def unwatch(self, run: InlineRun) -> None:
        self._running.discard(run)

    def _flush(self) -> None:
        while not self._closed:
            self._busy.wait()
            sleep(FLUSH_S)
            if not self._running:
                self._busy.clear()
                if not self._running:
                    continue
                self._busy.set()  # a run came between
            inline_output.route()
            for run in tuple(self._running):
                try:
                    run.flush_in_thread()
                except Exception:
                    log.exception("the progress of a phase can't be told any more; its result will be")
                    self.unwatch(run)
