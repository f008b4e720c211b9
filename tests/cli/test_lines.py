"""A task's life as lines: nothing twice, and each with the time of what it tells."""

from datetime import UTC, datetime, timedelta

import pytest

from phasenb.cli.lines import told
from phasenb.cli.table import clock
from phasenb.core.task_schema import apply
from phasenb.dto import events as ev
from phasenb.dto.phase_result import ErrorInfo, PhaseResult

BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)
COMMON = {"task_id": "0" * 18 + "PENGUINS", "session": "s"}


def result(attempt, status="complete", **fields):
    at = {"started_at": BEGAN, "ended_at": BEGAN, "duration_s": 0.0}
    return PhaseResult(phase="research", attempt=attempt, status=status, **at, **fields)


LIFE = [
    (ev.TaskCreated, {"name": "birds", "agent": "birds", "phases": ("research",)}),
    (ev.PhaseStarted, {"phase": "research", "attempt": 1}),
    (
        ev.PhaseFailed,
        {"phase": "research", "attempt": 1, "error": ErrorInfo(type="ValueError", message="boom"), "next": "retry"},
    ),
    (
        ev.PhaseRetrying,
        {"phase": "research", "attempt": 2, "maximum_attempts": 3, "delay_s": 60.0, "due_at": BEGAN},
    ),
    (ev.PhaseStarted, {"phase": "research", "attempt": 2}),
    (ev.PhaseComplete, {"phase": "research", "attempt": 2, "result": result(2, output=7)}),
    (ev.TaskComplete, {"duration_s": 6.0}),
]


@pytest.fixture
def states():
    """The states of a task that failed once, an event a second."""
    state, found = None, []
    for number, (kind, fields) in enumerate(LIFE):
        event = kind(**COMMON, seq=number + 1, at=BEGAN + timedelta(seconds=number), **fields)
        state = apply(state, event)
        found.append(state)
    return found


def lines_of(states):
    befores = [None, *states]
    return [line for before, state in zip(befores, states, strict=False) for line in told(before, state)]


def test_a_retry_is_told_once(states):
    found = [line for _, line in lines_of(states)]
    assert [line.partition(", next at")[0] for line in found] == [
        "birds PENGUINS: queued",
        "research: started",
        "research: failed, ValueError: boom",
        "research: attempt 2 of 3",
        "research: started, attempt 2",
        "research: complete in 1.0 s, 7",
        "birds PENGUINS: completed in 5.0 s",
    ]
    [skipped] = told(states[1], states[3])
    assert skipped[1].startswith("research: failed, ValueError: boom, attempt 2 of 3, next at")


def test_who_comes_late_is_told_when_it_was(states):
    assert [(at - BEGAN).total_seconds() for at, _ in lines_of(states)] == [0, 1, 2, 2, 4, 5, 6]
    late = told(None, states[-1])
    assert [((at - BEGAN).total_seconds(), line.partition(",")[0]) for at, line in late] == [
        (4, "research: started"), (5, "research: complete in 1.0 s"), (6, "birds PENGUINS: completed in 5.0 s"),
    ]  # fmt: skip


def test_the_day_is_told_where_it_was_another():
    now = datetime(2026, 1, 2, 12).astimezone()
    assert clock(now - timedelta(hours=1), now) == "11:00:00"
    assert clock(now - timedelta(hours=24), now) == "2026-01-01 12:00:00"
