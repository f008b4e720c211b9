"""Tasks in every state, made as hosts make them: by folding events."""

from datetime import UTC, datetime, timedelta

import pytest

from phasenb.core.task_schema import fold, with_update
from phasenb.display.surroundings import widget_is_built
from phasenb.dto import events as ev
from phasenb.dto.phase_result import ErrorInfo, PhaseResult, ResultStatus

START = datetime(2026, 1, 1, 14, 3, tzinfo=UTC)
PHASES = ("research", "planning", "implementation")
TRACEBACK = """Traceback (most recent call last):
  File "/env/lib/python3.11/site-packages/phasenb/executors/performing.py", line 3, in perform
    call()
  File "/tmp/ipykernel_42/1234.py", line 5, in explore
    table["weight"]
  File "/env/lib/python3.11/site-packages/pandas/core/frame.py", line 9, in __getitem__
    raise KeyError(key)
KeyError: 'weight'
"""


class Life:
    """A growing log; ``task`` is its fold. Each event is a second later than the one before."""

    def __init__(self, name="penguins", phases=PHASES, **created):
        self.log = []
        self.add(ev.TaskCreated, name=name, agent="flow", phases=phases, **created)

    @property
    def now(self):
        return START + timedelta(seconds=len(self.log))

    @property
    def task(self):
        return fold(self.log)

    def add(self, event_class, **fields):
        number = len(self.log) + 1
        ids = {"task_id": "01K0000000000000000000TASK", "session": "nb"}
        self.log.append(event_class(**ids, seq=number, at=self.now, **fields))
        return self

    def start(self, phase, attempt=1):
        return self.add(ev.PhaseStarted, phase=phase, attempt=attempt, worker="process-1")

    def complete(self, phase, output=None, attempt=1):
        made = {"phase": phase, "attempt": attempt, "status": ResultStatus.COMPLETE, "output": output}
        times = {"started_at": self.now, "ended_at": self.now, "duration_s": 1}
        return self.add(ev.PhaseComplete, phase=phase, attempt=attempt, result=PhaseResult(**made, **times))

    def fail(self, phase, message="no such column", attempt=1, then="abort", agent=None):
        error = ErrorInfo(type="KeyError", message=message, traceback=TRACEBACK)
        self.add(ev.PhaseFailed, phase=phase, attempt=attempt, error=error, next=then)
        if then == "retry":
            due = self.now + timedelta(seconds=8)
            more = {"maximum_attempts": 5, "delay_s": 8, "due_at": due}
            return self.add(ev.PhaseRetrying, phase=phase, attempt=attempt + 1, **more)
        if then == "fallback":
            return self.add(ev.PhaseFallback, phase=phase, agent=agent)
        return self.add(ev.TaskError, error=error, phase=phase)

    def updated(self, **fields):
        running = self.task.running
        update = ev.PhaseUpdate(task_id=self.task.task_id, phase=running.name, attempt=running.attempt, **fields)
        return with_update(self.task, update)


@pytest.fixture(scope="session")
def life():
    return Life


@pytest.fixture(scope="session", autouse=True)
def built():
    if not widget_is_built():
        pytest.fail("The widget is not built: run `make labextension`.")
