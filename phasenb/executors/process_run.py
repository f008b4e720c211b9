"""An attempt in a worker process, and the worker as a task's slot.

Rules: the Outcome of an attempt that was stopped is ``cancelled`` and comes when its process is gone; after that the
worker is never used again, since nobody knows what was interrupted. A worker that dies by itself gives ``lost``.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import orjson

from phasenb.core.parent import Message
from phasenb.core.ports import Nested, NestedLine, Run
from phasenb.core.real_clock import now
from phasenb.core.reports import Attempt, LogChunk, Outcome, Report
from phasenb.dto.phase import LogLine, Step
from phasenb.dto.phase_result import ResultStatus
from phasenb.dto.values import Json
from phasenb.errors import HostFrozen, PhasenbError, RuntimeMismatch, WorkerLost
from phasenb.executors.failures import error_info
from phasenb.executors.reports import COURTESY_S, Reports, StoppableRun
from phasenb.executors.secrets import named_in
from phasenb.executors.worker_messages import nested_message, run_message
from phasenb.executors.worker_process import NOT_KEPT, WorkerProcess

FROZEN = (
    "[phasenb was frozen: its machine slept, its container was paused, or it was stopped (Ctrl-Z). This attempt ended "
    "with that; the phase starts again, and it counts as no failure]"
)


class ProcessRun(StoppableRun):
    """ports.Run of one attempt in ``worker``."""

    def __init__(self, worker: WorkerProcess, phase: str, number: int, *, secret: bool = False) -> None:
        super().__init__(phase)
        self.secret = secret
        self.number = number
        self.nested: NestedLine | None = None
        self._worker = worker
        self._unfinished: str | None = None  # of what it wrote, no line yet

    def report(self, report: Report) -> None:
        """What the worker says."""
        if isinstance(report, Outcome):
            self._end(report)
        else:
            if isinstance(report, Step):
                self._unfinished = report.line
            self.put(report)

    def say(self, message: Message, payload: bytes) -> Awaitable[None] | None:
        """To a client inside the phase; see core.parent.Send."""
        self._worker.send(nested_message(message, self.number), payload)
        return self._worker.room()

    def _end(self, outcome: Outcome) -> None:
        super()._end(outcome)
        if self.nested is not None:
            self.nested.end()

    def lost(self, words: dict[str, list[str]]) -> None:
        """The worker is gone. ``words``: what it wrote last, by stream."""
        at = now()
        if self.secret:
            words = {"stdout": [], "stderr": [NOT_KEPT] if words["stderr"] else []}
        lines = [LogLine(stream="log", text=text, at=at) for text in (self._unfinished or "").splitlines()]
        lines += [LogLine(stream="stdout", text=text, at=at) for text in words["stdout"][-100:]]
        lines += [LogLine(stream="stderr", text=text, at=at) for text in words["stderr"][-100:]]
        if lines:
            self.put(LogChunk(tuple(lines)))
        error = self._worker.loss(f"while it ran `{self._phase}`")
        if isinstance(error, HostFrozen):
            self.put(LogChunk((LogLine(stream="log", text=FROZEN, at=at),)))
        self._end(Outcome(ResultStatus.LOST, error=error_info(error)))

    async def _interrupt(self, grace_s: float) -> None:
        if grace_s > 0:
            self._worker.send({"type": "cancel", "run": self.number, "courtesy_s": min(COURTESY_S, grace_s / 2)})
            if not await self._ends_within(grace_s):
                self._worker.clean = False
                self._tell_force("it was ended by force, whatever it was about to clean up")
        await self._worker.kill()

    async def _hurry(self) -> None:
        await self._worker.kill()


class RefusedRun(Reports):
    """ports.Run of an attempt that can't run here."""

    def __init__(self, error: PhasenbError) -> None:
        super().__init__()
        status = ResultStatus.LOST if isinstance(error, WorkerLost) else ResultStatus.FAILED
        self.put(Outcome(status, error=error_info(error)))

    async def stop(self, grace_s: float) -> None:
        """Nothing runs."""


class Codes:
    """Numbers for the codes of one lease, so that each travels once."""

    def __init__(self) -> None:
        self._sent: list[Json] = []

    def number(self, code: Json) -> tuple[int | None, bytes]:
        """(its number, the payload that carries it, empty where the worker has it)."""
        if code is None:
            return None, b""
        for number, sent in enumerate(self._sent):
            if sent is code or sent == code:
                return number, b""
        self._sent.append(code)
        return len(self._sent) - 1, orjson.dumps(code)


class WorkerSlot:
    """ports.Slot: one worker process, for one task. ``mismatch`` is why code can't run here, where it can't."""

    def __init__(
        self,
        worker: WorkerProcess,
        release: Callable[[WorkerProcess], Coroutine[Any, Any, None]],
        mismatch: RuntimeMismatch | None = None,
        nested: Nested | None = None,
    ) -> None:
        self._nested = nested
        self._worker = worker
        self._release = release
        self._mismatch = mismatch
        self._codes = Codes()
        self._released = False

    @property
    def worker(self) -> str:
        return self._worker.name

    @property
    def alive(self) -> bool:
        return self._worker.alive

    def run(self, attempt: Attempt) -> Run:
        worker = self._worker
        if self._mismatch is not None and attempt.code is not None:
            return RefusedRun(self._mismatch)
        worker.runs += 1
        run = ProcessRun(worker, attempt.phase, worker.runs, secret=bool(attempt.secrets))
        if worker.alive:
            worker.begin(run, attempt.log_bytes)
            number, payload = self._codes.number(attempt.code)
            header = run_message(run.number, attempt, number, named_in(attempt.secrets, os.environ))
            if self._nested is not None:
                run.nested = self._nested.open(attempt, run.say)
                header["parent"] = {
                    "session": attempt.session,
                    "notebook": attempt.notebook,
                    "url": self._nested.url,
                }
            worker.send(header, payload)
        else:
            run.lost({"stdout": [], "stderr": []})
        return run

    async def release(self) -> None:
        if not self._released:
            self._released = True
            await self._release(self._worker)


class LostSlot:
    """ports.Slot without a worker, as none can be started now: an attempt in it is lost, and policies decide."""

    worker = "process"
    alive = False

    def __init__(self, error: WorkerLost) -> None:
        self._error = error

    def run(self, attempt: Attempt) -> Run:
        return RefusedRun(self._error)

    async def release(self) -> None:
        """Nothing is held."""
