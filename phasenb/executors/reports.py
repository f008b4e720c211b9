"""The loop's side of a running attempt: a stream of reports that stays small whoever reads it slowly.

Rules: everything here runs on the host's loop; of steps, checkpoints and beats that nobody took yet, the newest wins;
log lines keep their order (their makers bound them); the Outcome comes last, exactly once, and nothing follows it. That
of an attempt which was stopped is ``cancelled``, whatever the attempt itself still said.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import deque
from dataclasses import replace
from typing import Self

from phasenb.core.real_clock import now
from phasenb.core.reports import Beat, LogChunk, Outcome, Report
from phasenb.dto.phase import Checkpoint, LogLine, Step
from phasenb.dto.phase_result import ResultStatus
from phasenb.executors.performing import cancelled_error

COURTESY_S = 0.5  # for code that looks at ctx.cancelled, before it is interrupted


class Reports:
    """An async iterator of reports, for one reader."""

    def __init__(self) -> None:
        self._logs: deque[LogChunk] = deque()
        self._step: Step | None = None
        self._checkpoint: Checkpoint | None = None
        self._beat: Beat | None = None
        self._outcome: Outcome | None = None
        self._told = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def finished(self) -> bool:
        """Whether the Outcome is there; it may not have been read yet."""
        return self._outcome is not None

    def put(self, report: Report) -> None:
        if self._outcome is not None:
            return
        if isinstance(report, Step):
            self._step = report
        elif isinstance(report, LogChunk):
            self._logs.append(report)
        elif isinstance(report, Checkpoint):
            self._checkpoint = report
        elif isinstance(report, Beat):
            self._beat = report
        else:
            self._outcome = report
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Report:
        while True:
            report = self._next()
            if report is not None:
                return report
            if self._told:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def _next(self) -> Report | None:
        if self._checkpoint is not None:
            kept, self._checkpoint = self._checkpoint, None
            return kept
        if self._logs:
            return self._logs.popleft()
        if self._step is not None:
            step, self._step = self._step, None
            return step
        if self._beat is not None:
            beat, self._beat = self._beat, None
            return beat
        if self._outcome is not None and not self._told:
            self._told = True
            return self._outcome
        return None


class StoppableRun(Reports):
    """ports.Run of one attempt; ``_interrupt`` and ``_hurry`` say how it is stopped where it runs."""

    def __init__(self, phase: str) -> None:
        super().__init__()
        self._phase = phase
        self._ended = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None
        self._stopped: Outcome | None = None

    def _end(self, outcome: Outcome) -> None:
        """The attempt's own end."""
        if self._stopping is None:
            self.put(outcome)
        else:
            self._stopped = outcome
        self._ended.set()

    async def stop(self, grace_s: float) -> None:
        """See ports.Run. A second call with less patience ends the first one's."""
        if self.finished:
            return
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(grace_s))
        elif grace_s <= 0:
            await self._hurry()
        await asyncio.shield(self._stopping)

    async def _stop(self, grace_s: float) -> None:
        await self._interrupt(grace_s)
        said = self._stopped or Outcome(ResultStatus.CANCELLED)
        kept = replace(said, status=ResultStatus.CANCELLED, output=None, output_type=None, output_bytes=None)
        self.put(replace(kept, error=cancelled_error(self._phase)))

    def _tell_force(self, what: str) -> None:
        """A line of the log that says why a cleanup did not run to its end."""
        text = f"`{self._phase}` was still running when its time to end was over (executor.kill_grace_s): {what}"
        self.put(LogChunk((LogLine(stream="log", text=text, at=now()),)))

    async def _ends_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._ended.wait(), seconds)
        except TimeoutError:
            return False
        return True

    @abstractmethod
    async def _interrupt(self, grace_s: float) -> None:
        """End the attempt: asked first, by force after ``grace_s``. Returns when nobody waits for it any more."""

    @abstractmethod
    async def _hurry(self) -> None:
        """Have ``_interrupt`` wait no longer."""
