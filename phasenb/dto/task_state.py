"""TaskState: a task as the reducer left it, which is also the ``snapshot`` of protocol.md."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import Field

from phasenb.dto.base import Frozen, SessionName, Time
from phasenb.dto.phase import Phase, PhaseStatus
from phasenb.dto.phase_result import ErrorInfo, PhaseResult, ResultStatus
from phasenb.dto.values import Json


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    AWAITING_APPROVAL = "awaiting_approval"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})


class Queue(Frozen):
    """Why a queued task waits; ``position`` from 1."""

    position: int
    reason: str


class Approval(Frozen):
    """The open gate: answer it with this ``seq`` as ``if_seq``."""

    phase: str
    revision: int
    seq: int
    output: Json = None


class TaskFailure(Frozen):
    """Why a task failed, and in which phase."""

    phase: str | None
    attempt: int | None
    error: ErrorInfo

    def __repr__(self) -> str:
        where = f"{self.phase}, attempt {self.attempt}: " if self.phase else ""
        return f"<TaskFailure {where}{self.error.type}: {self.error.message}>"

    __str__ = __repr__


class FailureNote(Frozen):
    """One failed attempt in short; the whole error is in ``results`` and in the log."""

    phase: str
    attempt: int
    type: str
    message: str
    at: Time


class Failures(Frozen):
    """The failed attempts of a task since it was launched, or retried by a person."""

    count: int
    first: FailureNote
    newest: FailureNote


class Stopped(Frozen):
    """Who paused or cancelled a task; with ``phase`` and ``reason``, who denied it at the gate before that phase."""

    by: str
    phase: str | None = None
    reason: str | None = None


class TaskState(Frozen):
    """One task, folded from its whole log by core.task_schema.

    ``phase`` is the current phase (the last one when terminal); ``percent`` 0..100 of the whole task; ``by_host`` the
    host that runs it. ``message, eta_s, percent, done, total, bar, line, queue`` carry the newest live progress where a
    host knows it: of the running phase ``done`` of ``total`` steps, or without a total so far; ``line`` is what it has
    written that is no line of its log yet, such as a bar that is being drawn.
    ``secrets`` are the variables whose values the launcher gave: a retry and a resume may give them again.
    ``given_up``: the phase whose retry a person gave up, until what follows is decided.
    ``code``: which code its next attempt runs (dto.launch.code_id).
    ``recent`` are the last five events as ``"seq type"``: an error names them.
    """

    task_id: str
    session: SessionName
    name: str
    agent: str
    state: State = State.QUEUED
    phase: str | None = None
    percent: float = 0.0
    message: str | None = None
    eta_s: float | None = None
    done: float | None = None
    total: float | None = None
    bar: int = 0
    line: str | None = None
    phases: tuple[Phase, ...] = ()
    seq: int = 0
    created_at: Time
    updated_at: Time
    started_at: Time | None = None
    ended_at: Time | None = None
    inputs: dict[str, Json] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    key: str | None = None
    notebook: str | None = None
    secrets: tuple[str, ...] = ()
    parent: str | None = None
    code: str | None = None
    retry_at: Time | None = None
    given_up: str | None = None
    failures: Failures | None = None
    queue: Queue | None = None
    approval: Approval | None = None
    rolling_back: str | None = None
    error: TaskFailure | None = None
    stopped: Stopped | None = None
    actions: tuple[str, ...] = ()
    by_host: str | None = None
    recent: tuple[str, ...] = ()

    def phase_named(self, name: str) -> Phase:
        """Raises KeyError for a name that is none of this task's phases."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(name)

    @property
    def running(self) -> Phase | None:
        """The phase whose attempt runs now, if one does."""
        for phase in self.phases:
            if phase.status is PhaseStatus.RUNNING:
                return phase
        return None

    @property
    def needs_person(self) -> bool:
        """Whether nothing goes on until a person approves, or resumes it."""
        paused = self.state is State.PAUSED and self.running is None
        return paused or self.state is State.AWAITING_APPROVAL

    def output_among(self, results: Iterable[PhaseResult], phase: str) -> PhaseResult | None:
        """Of this task's results the one with the phase's output as it counts now; None where there is none."""
        aside = next((each.set_aside for each in self.phases if each.name == phase), 0)
        mine = [
            result
            for result in results
            if (result.phase, result.kind, result.status) == (phase, "phase", ResultStatus.COMPLETE)
            and result.attempt > aside
        ]
        return max(mine, key=lambda result: (result.attempt, result.revision), default=None)

    def as_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")
