"""The ports: all that PhaseManager asks of the world. phasenb.testing has a public fake of each.

Rules: every method that may wait is async and never blocks the loop; values cross a port encoded (dto.values), so a
port's user never runs what a person's code made; an adapter raises only errors of phasenb.errors.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from phasenb.dto.events import Event, PhaseLog, PhaseUpdate
from phasenb.dto.launch import AgentSpec, Launch, Runtime
from phasenb.dto.phase import AttemptKind, Checkpoint, LogLine, Step
from phasenb.dto.phase_result import ErrorInfo, PhaseResult, ResultStatus
from phasenb.dto.task_state import State, TaskState
from phasenb.dto.values import Artifact, Json
from phasenb.errors import RuntimeMismatch


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall time, UTC, aware: for what people read."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump: for what is measured."""
        ...

    async def sleep(self, seconds: float) -> None: ...


# --- the store -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Append:
    """One decision, to be committed in one transaction: the events, the task after them, the results they bring.

    Compare-and-set: refused with errors.Conflict unless the log's last seq is ``events[0].seq - 1``.
    ``launch`` comes with the first append of a task only.
    """

    owner: str
    task: TaskState
    events: tuple[Event, ...]
    results: tuple[PhaseResult, ...] = ()
    launch: Launch | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """``task_id`` is another task's where the launch's key was already used: nothing was written then."""

    task_id: str
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class StoredTask:
    owner: str
    task: TaskState


class Store(Protocol):
    """The log and what is folded from it. ``epoch`` is made with the store and never changes."""

    @property
    def epoch(self) -> str: ...

    async def append(self, append: Append) -> Appended:
        """Durable when it returns. A launch whose ``idempotency_key``, or whose ``options.key`` with ``attach``,
        is known in its (owner, session) writes nothing and answers with that task, ``duplicate=True``.

        Raises Conflict (the log moved on; or the key exists and ``if_exists`` is ``error``), StoreUnavailable.
        """
        ...

    async def add_log(self, log: PhaseLog) -> None:
        """Append log lines; not awaited for durability by anyone."""
        ...

    async def add_checkpoint(self, task_id: str, phase: str, attempt: int, value: Json) -> None: ...

    async def checkpoint(self, task_id: str, phase: str) -> Checkpoint | None:
        """The newest checkpoint of a phase."""
        ...

    async def find(self, task_id: str, *, owner: str | None = None) -> StoredTask | None:
        """By full ULID, or by a suffix that only one task (of ``owner``) has."""
        ...

    async def launch(self, task_id: str) -> Launch:
        """Raises UnknownTask."""
        ...

    async def tasks(
        self,
        owner: str,
        *,
        session: str | None = None,
        state: State | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[TaskState]:
        """Newest first; ``session=None`` is all of the owner's; ``before`` a task_id (exclusive)."""
        ...

    async def events(self, task_id: str, after_seq: int, limit: int) -> list[str]:
        """The wire text of up to ``limit`` events after ``after_seq``, in order."""
        ...

    async def results(
        self, owner: str, *, session: str | None = None, task_id: str | None = None
    ) -> list[tuple[str, PhaseResult]]:
        """(task_id, result) of every attempt that ended, oldest first."""
        ...

    async def logs(self, task_id: str, *, after: int = 0, limit: int = 10_000) -> list[dict[str, Json]]:
        """Stored lines as ``{cursor, phase, attempt, line, stream, at, text}``, after a cursor, in order."""
        ...

    async def put_object(self, owner: str, chunks: AsyncIterator[bytes], expected_hash: str) -> int:
        """Store uploaded bytes; their size. Raises BadMessage where the hash differs (nothing is kept)."""
        ...

    async def has_object(self, owner: str, hash: str) -> bool: ...

    def open_object(self, owner: str, hash: str) -> AsyncIterator[bytes]:
        """The bytes in chunks of at most 1 MiB. Raises UnknownObject."""
        ...

    def objects_url(self, owner: str) -> str:
        """The fsspec URL (or local path) of the folder of this owner's objects: codecs.objects.ObjectFolder(url)."""
        ...


# --- executors -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attempt:
    """All that a worker needs to run one attempt.

    ``agent`` is ``"module:attribute"`` of a registered agent, or None where ``code`` is given. ``values`` holds launch
    inputs and outputs of earlier phases, by name, encoded; only those that the function asks for are decoded.
    """

    task_id: str
    phase: str
    attempt: int
    owner: str
    agent: str | None
    code: Json
    values: dict[str, Json]
    objects_url: str
    phases: tuple[str, ...] = ()
    kind: AttemptKind = "phase"
    runtime: Runtime | None = None
    checkpoint: Checkpoint | None = None
    failure: ErrorInfo | None = None
    inline_bytes: int = 262_144
    log_bytes: int = 4_194_304


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Lines of an attempt in order; ``dropped`` lines came before ``lines`` and were not kept."""

    lines: tuple[LogLine, ...]
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The last report of every attempt. ``output`` encoded; ``error`` when failed, lost or cancelled."""

    status: ResultStatus
    output: Json = None
    output_type: str | None = None
    output_bytes: int | None = None
    error: ErrorInfo | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()


Report = Step | LogChunk | Checkpoint | Outcome


class Run(Protocol):
    """A running attempt: an async stream of reports whose last one is an Outcome, always exactly one."""

    def __aiter__(self) -> AsyncIterator[Report]: ...

    async def stop(self, grace_s: float) -> None:
        """Cancel: cooperative (``ctx.cancelled``, an interrupt), after ``grace_s`` by force. The stream then ends
        with an Outcome ``cancelled``. Idempotent; returns when the work has really ended.
        """
        ...


class Slot(Protocol):
    """A place to run one task's attempts, one after the other: a warm worker, or a thread."""

    @property
    def worker(self) -> str:
        """The worker's name in phase_started and in the frames, such as ``process-4711``."""
        ...

    @property
    def alive(self) -> bool: ...

    def run(self, attempt: Attempt) -> Run: ...

    async def release(self) -> None:
        """Give the place back after the task's last attempt (or before a wait)."""
        ...


class Executor(Protocol):
    """``capacity`` slots may be out at once; PhaseManager keeps the count, so ``reserve`` never queues."""

    @property
    def kind(self) -> str: ...

    @property
    def capacity(self) -> int: ...

    def refusal(self, runtime: Runtime | None) -> RuntimeMismatch | None:
        """Why code that was packed in this runtime can't run here; None where it can."""
        ...

    def warm(self, owner: str, runtime: Runtime | None) -> Slot | None:
        """A slot that is ready this moment, or None: lets a launch and its first start share one transaction."""
        ...

    async def reserve(self, owner: str, runtime: Runtime | None) -> Slot:
        """A slot, started if need be. Raises RuntimeMismatch, LaunchError (interpreter or directory is gone)."""
        ...

    async def describe(
        self, owner: str, runtime: Runtime | None, agent: str | None, code: Json, objects_url: str
    ) -> AgentSpec:
        """What an agent says of itself, asked in a worker. Raises LaunchError, RuntimeMismatch."""
        ...

    async def close(self) -> None: ...


# --- the publisher ---------------------------------------------------------------------------------------------


class Publisher(Protocol):
    """Tells clients what is already durable. Synchronous and never slow: it queues."""

    def events(self, owner: str, task: TaskState, events: Sequence[Event]) -> None: ...

    def progress(self, owner: str, task: TaskState, update: PhaseUpdate) -> None: ...

    def log(self, owner: str, task: TaskState, log: PhaseLog) -> None: ...
