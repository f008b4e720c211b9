"""A store for each test, on a real file and in memory, and the story of a task to tell it."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from phasenb.core.ports import Append
from phasenb.core.task_schema import apply
from phasenb.dto import events as ev
from phasenb.dto.base import new_ulid
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.dto.phase_result import ErrorInfo, PhaseResult, ResultStatus
from phasenb.store.saver import MemorySaver

PHASES = ("research", "planning", "implementation")
START = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
ERROR = ErrorInfo(type="ValueError", message="no such column", traceback="Traceback ...", bases=("ValueError",))


class Story:
    """One task's decisions, each as an Append that is not yet told to any store. A second passes with each event."""

    def __init__(
        self,
        owner="ada",
        session="nb:penguins",
        *,
        name="penguins",
        inputs=None,
        labels=None,
        task_id=None,
        notebook=None,
        **launch,
    ):
        self.name = name
        self.notebook = notebook
        self.owner = owner
        self.task_id = task_id or new_ulid()
        self.session = session
        self.inputs = inputs or {}
        options = LaunchOptions(
            key=launch.pop("key", None), if_exists=launch.pop("if_exists", "attach"), labels=labels or {}
        )
        self.launch = Launch(**{"agent": "fit", "inputs": self.inputs, "options": options, **launch})
        self.task = None
        self._seq = 0

    def _event(self, event_class, **fields):
        self._seq += 1
        at = START + timedelta(seconds=self._seq)
        return event_class(task_id=self.task_id, session=self.session, seq=self._seq, at=at, **fields)

    def decide(self, *events, results=(), launch=None):
        for event in events:
            self.task = apply(self.task, event)
        return Append(self.owner, self.task, events, tuple(results), launch)

    def created(self):
        options = self.launch.options
        created = self._event(
            ev.TaskCreated,
            name=self.name,
            agent="fit",
            phases=PHASES,
            inputs=self.inputs,
            labels=options.labels,
            key=options.key,
            notebook=self.notebook,
        )
        return self.decide(created, launch=self.launch)

    def started(self, phase="research", attempt=1):
        return self.decide(self._event(ev.PhaseStarted, phase=phase, attempt=attempt, worker="process-1"))

    def result(self, phase, attempt, **fields):
        ended = START + timedelta(seconds=self._seq)
        times = {"started_at": START, "ended_at": ended, "duration_s": (ended - START).total_seconds()}
        return PhaseResult(**{"phase": phase, "attempt": attempt, "worker": "process-1", **times, **fields})

    def complete(self, phase="research", attempt=1, *, last=False, **fields):
        result = self.result(phase, attempt, status=ResultStatus.COMPLETE, **fields)
        events = [self._event(ev.PhaseComplete, phase=phase, attempt=attempt, result=result)]
        if last:
            events.append(self._event(ev.TaskComplete, duration_s=9.0))
        return self.decide(*events, results=[result])

    def failed(self, phase="research", attempt=1):
        result = self.result(phase, attempt, status=ResultStatus.FAILED, error=ERROR)
        failed = self._event(ev.PhaseFailed, phase=phase, attempt=attempt, error=ERROR, next="retry")
        due = START + timedelta(seconds=self._seq + 1)
        retrying = self._event(
            ev.PhaseRetrying, phase=phase, attempt=attempt + 1, maximum_attempts=3, delay_s=1.0, due_at=due
        )
        return self.decide(failed, retrying, results=[result])

    def cancelled(self):
        return self.decide(self._event(ev.CancelRequested, by="ada"), self._event(ev.TaskCancelled, by="ada"))

    def whole(self, outputs=None):
        """All appends of a task that went well."""
        yield self.created()
        for phase in PHASES:
            yield self.started(phase)
            output = (outputs or {}).get(phase, {"from": phase})
            yield self.complete(phase, last=phase == PHASES[-1], output=output, output_type="dict", output_bytes=10)

    async def tell(self, saver, appends=None):
        for append in self.whole() if appends is None else appends:
            await saver.append(append)
        return self.task


@pytest.fixture
def story():
    return Story


@pytest.fixture(params=["file", "memory"])
def saver(request, tmp_path):
    opened = MemorySaver.open(tmp_path / "phasenb.db" if request.param == "file" else ":memory:")
    yield opened
    asyncio.run(opened.close())


@pytest.fixture
def file_saver(tmp_path):
    opened = MemorySaver.open(tmp_path / "phasenb.db")
    yield opened
    asyncio.run(opened.close())
