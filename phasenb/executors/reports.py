"""The loop's side of a running attempt: a stream of reports that stays small whoever reads it slowly.

Rules: everything here runs on the host's loop; of steps, checkpoints and beats that nobody took yet, the newest wins;
log lines keep their order (their makers bound them); the Outcome comes last, exactly once, and nothing follows it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Self

from phasenb.core.ports import Beat, LogChunk, Outcome, Report
from phasenb.dto.phase import Checkpoint, Step


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
