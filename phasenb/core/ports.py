"""The ports: all that PhaseManager asks of the world. phasenb.testing has a public fake of each.

Rules: every method that may wait is async and never blocks the loop; values cross a port encoded (dto.values), so a
port's user never runs what a person's code made; an adapter raises only errors of phasenb.errors.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from phasenb.core.parent import Message, Send
from phasenb.core.reports import Attempt, Report
from phasenb.dto.agent_spec import AgentSpec
from phasenb.dto.events import Event, PhaseLog, PhaseUpdate
from phasenb.dto.launch import Launch, Runtime
from phasenb.dto.phase import Checkpoint
from phasenb.dto.phase_result import PhaseResult
from phasenb.dto.task_state import State, TaskState
from phasenb.dto.values import Json
from phasenb.errors import RuntimeMismatch


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall time, UTC, aware: for what people read."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump: for what is measured."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class Heart(Protocol):
    """Shows that this host lives, and alone knows whether it can. Called on the host's loop."""

    def joined(self, host: str, asked: float) -> None:
        """Beat as ``host`` from now on, which the store has known since it was ``asked`` for (monotonic)."""
        ...

    async def beat(self, host: str) -> None:
        """The next heartbeat of ``host``. Raises LeaseLost, StoreUnavailable."""
        ...

    def lost(self, host: str) -> bool:
        """Whether others may soon take ``host`` for dead: they can write, while it can't. To be asked often."""
        ...

    def steady_since(self, now: float) -> float:
        """From when on this host's word about another's silence counts."""
        ...


# --- the store -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lease:
    """``host`` may write of a task what only its host may, while the task's fence is ``fence``."""

    host: str
    fence: int


@dataclass(frozen=True, slots=True)
class Taking:
    """``host`` becomes the task's own, on ``executor``: at a launch and at a manual retry."""

    host: str
    executor: str


@dataclass(frozen=True, slots=True)
class HostInfo:
    """A host as others see it. ``pid_started`` tells a process from a later one of the same pid on ``machine``;
    ``counter`` grows while it lives (a lease in the sense of design.md section 5: no clock of another is read).
    """

    host: str
    machine: str
    pid: int
    pid_started: str
    counter: int = 0


@dataclass(frozen=True, slots=True)
class Append:
    """One decision, to be committed in one transaction: the events, the task after them, the results they bring.

    Compare-and-set: refused with errors.Conflict unless the log's last seq is ``events[0].seq - 1``.
    ``launch`` comes with the first append of a task, and with a retry that brings new code.
    ``lease`` is the writer's, for what only a task's host may write: a stale one is refused with errors.LeaseLost.
    None: a command, which any host may append. With ``take`` the lease is ``Appended.lease``.
    """

    owner: str
    task: TaskState
    events: tuple[Event, ...]
    results: tuple[PhaseResult, ...] = ()
    launch: Launch | None = None
    lease: Lease | None = None
    take: Taking | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """``task_id`` is another task's where the launch's key was already used: nothing was written then."""

    task_id: str
    duplicate: bool = False
    lease: Lease | None = None


@dataclass(frozen=True, slots=True)
class StoredTask:
    owner: str
    task: TaskState


@dataclass(frozen=True, slots=True)
class Adopted:
    """A task that another host left behind, and that is this host's now."""

    owner: str
    task: TaskState
    launch: Launch
    lease: Lease


@dataclass(frozen=True, slots=True)
class Change:
    """An event's JSON text, as the whole store counts them: ``number`` grows with every commit of every host."""

    number: int
    owner: str
    task_id: str = ""
    seq: int = 0
    event: str = ""


class Store(Protocol):
    """The log and what is folded from it. ``epoch`` is made with the store and never changes."""

    @property
    def epoch(self) -> str: ...

    async def append(self, append: Append) -> Appended:
        """Durable when it returns. A launch whose ``idempotency_key``, or whose ``options.key`` with ``attach``,
        is known in its (owner, session) writes nothing and answers with that task, ``duplicate=True``.

        Raises Conflict (the log moved on; or the key exists and ``if_exists`` is ``error``), LeaseLost,
        StoreUnavailable; LeaseLost also where ``take`` names a host that is not known (any more).
        """
        ...

    async def launched(self, owner: str, session: str, launch: Launch) -> str | None:
        """The task that ``append`` would answer a launch with, because it is known. Raises Conflict likewise."""
        ...

    async def add_log(self, log: PhaseLog) -> None:
        """Append log lines; not awaited for durability by anyone."""
        ...

    async def add_checkpoint(
        self, task_id: str, phase: str, attempt: int, value: Json, lease: Lease | None = None
    ) -> None:
        """Keep the newest checkpoint of a phase. Raises LeaseLost, StoreUnavailable."""
        ...

    async def checkpoint(self, task_id: str, phase: str, *, since: int = 1) -> Checkpoint | None:
        """The newest checkpoint of a phase, if attempt ``since`` or a later one kept it."""
        ...

    async def find(self, task_id: str, *, owner: str | None = None) -> StoredTask | None:
        """By full ULID, or by a suffix that only one task (of ``owner``) has."""
        ...

    async def matching(self, owner: str, text: str, *, session: str | None = None) -> list[TaskState]:
        """The owner's tasks of the name ``text``, else those whose id ends so: those of ``session`` first, newest
        first, at most core.task_names.MOST_NAMED.
        """
        ...

    async def source(self, task_id: str, code: str) -> dict[str, str]:
        """{phase: the text of its function}, as a task's launch, or a retry, brought it with a code (``code``: its
        dto.launch.code_id); empty where none is kept.
        """
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
        changed_since: datetime | None = None,
    ) -> list[TaskState]:
        """Newest first; ``session=None`` is all of the owner's; ``before`` a task_id (exclusive); ``changed_since``:
        those whose ``updated_at`` is this time or later.
        """
        ...

    async def changed_at(self, owner: str, *, session: str | None = None) -> datetime | None:
        """The newest ``updated_at`` of the tasks of ``owner`` (of one session); None where there are none."""
        ...

    async def events(self, task_id: str, after_seq: int, limit: int) -> list[str]:
        """The wire text of up to ``limit`` events after ``after_seq``, in order."""
        ...

    async def results(
        self, owner: str, *, session: str | None = None, task_id: str | None = None
    ) -> list[tuple[str, PhaseResult]]:
        """(task_id, result) of every attempt that ended, oldest first."""
        ...

    async def scan_results(
        self,
        owner: str,
        take: Callable[[Sequence[tuple[str, str]]], None],
        *,
        session: str | None = None,
        task_id: str | None = None,
    ) -> None:
        """Have ``take`` called, off the loop, with pages of (task_id, a PhaseResult's stored JSON), oldest first.

        So any number of results can pass without ever being in memory together.
        """
        ...

    async def failures(self, owner: str, session: str, since: datetime, limit: int) -> list[datetime]:
        """When attempts of a session failed or were lost, after ``since``, oldest first: the newest ``limit``. A
        secret that was missing is no failure.
        """
        ...

    async def logs(self, task_id: str, *, after: int = 0, limit: int = 10_000) -> list[dict[str, Json]]:
        """Stored lines as ``{cursor, phase, attempt, line, stream, at, text}``, after a cursor, in order."""
        ...

    async def newest_logs(self, task_id: str, limit: int) -> list[dict[str, Json]]:
        """The last ``limit`` of them, in order too."""
        ...

    async def put_object(self, owner: str, chunks: AsyncIterator[bytes], expected_hash: str) -> int:
        """Store uploaded bytes; their size. Raises BadMessage where the hash differs (nothing is kept)."""
        ...

    async def has_object(self, owner: str, hash: str) -> bool:
        """Whether it need not be sent: one that is there is kept as if it had been."""
        ...

    def open_object(self, owner: str, hash: str) -> AsyncIterator[bytes]:
        """The bytes in chunks of at most 1 MiB. Raises UnknownObject."""
        ...

    def objects_url(self, owner: str) -> str:
        """The fsspec URL (or local path) of the folder of this owner's objects: codecs.objects.ObjectFolder(url)."""
        ...

    # --- notebooks and their sessions --------------------------------------------------------------------------

    async def notebook_session(self, owner: str, path: str) -> str:
        """The session of the owner's notebook at this absolute path. A path that is not known gets one that no other
        notebook has or had: by the path's own name where that is free (core.notebooks.session_of).
        """
        ...

    async def move_notebooks(self, old: str, new: str | None) -> None:
        """The notebook at ``old``, or all below it, are at ``new`` now, whoever's they are; nowhere for None. What was
        known at ``new`` is nowhere any more.
        """
        ...

    # --- hosts and their leases --------------------------------------------------------------------------------

    async def join(self, host: HostInfo) -> None:
        """Make a host known, with its counter at 0."""
        ...

    async def beat(self, host: str) -> None:
        """Count on. Raises LeaseLost where another host took this one for dead: its tasks are gone to others."""
        ...

    async def leave(self, host: str) -> None:
        """Forget a host in good order: its tasks can be adopted at once."""
        ...

    async def hosts(self) -> list[HostInfo]:
        """All hosts that have not left."""
        ...

    async def adopt(self, host: str, kinds: Sequence[str], dead: str | None = None) -> list[Adopted]:
        """Take over every task that is not terminal, has one of these executors and belongs to no host (``dead``
        None) or to ``dead``, which is forgotten by that; the oldest first. Each task's fence goes up by one.
        Raises LeaseLost where ``host`` itself is not known any more.
        """
        ...

    async def changes(self, after: int | None, limit: int = 1000) -> list[Change]:
        """The events of all hosts after a number, in the order of their commits; None: only the newest one's number,
        as a Change without an event, or nothing in an empty store.
        """
        ...

    async def quiet_until(self) -> int | None:
        """The newest event's number where nobody else committed since this was last asked: up to it every event is
        this store's own, or was there the last time. None where somebody may have. Costs next to nothing.
        """
        ...

    async def collect(self, grace_s: float) -> int:
        """Remove objects that no row names, that nobody renewed for ``grace_s`` seconds, and that no attempt which runs
        can have kept; how many.
        """
        ...


class Secrets(Protocol):
    """The values of secrets that launchers gave, outside the store, until their task ends."""

    async def keep(self, task_id: str, values: Mapping[str, str]) -> None:
        """Keep these by name, beside others of the task. Raises LaunchError where they can't be kept safely."""
        ...

    def place(self, task_id: str, name: str) -> str:
        """The file in which a worker of this host finds one; it need not be there."""
        ...

    def forget(self, task_id: str) -> None:
        """Remove those of a task. Idempotent, and quick."""
        ...


# --- executors -------------------------------------------------------------------------------------------------


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


NONE: Mapping[str, str] = MappingProxyType({})


class Executor(Protocol):
    """``capacity`` slots may be out at once; PhaseManager keeps the count, so ``reserve`` never queues.

    ``sets_variables``: whether an attempt may have variables of its own (``env``, ``secrets``), and a fresh worker.
    """

    @property
    def kind(self) -> str: ...

    @property
    def capacity(self) -> int: ...

    @property
    def sets_variables(self) -> bool: ...

    def refusal(self, runtime: Runtime | None) -> RuntimeMismatch | None:
        """Why code that was packed in this runtime can't run here; None where it can."""
        ...

    def warm(self, owner: str, runtime: Runtime | None, *, fresh: bool = False) -> Slot | None:
        """A slot that is ready this moment, or None: lets a launch and its first start share one transaction.

        ``fresh``: one in which nothing ran before, and nothing runs after its release.
        """
        ...

    async def reserve(self, owner: str, runtime: Runtime | None, *, fresh: bool = False) -> Slot:
        """A slot, started if need be; where none can be started for now, one in which attempts are lost. ``fresh``: see
        ``warm``.

        Raises RuntimeMismatch, LaunchError (interpreter or directory is gone).
        """
        ...

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
        """What an agent says of itself, asked in a worker. Raises LaunchError, RuntimeMismatch, SecretUnavailable,
        WorkerLost.
        """
        ...

    async def close(self) -> None: ...


# --- what is launched inside phases ------------------------------------------------------------------------------


class NestedLine(Protocol):
    """The host's end of an attempt's line for clients inside (core.parent). On the host's loop."""

    def take(self, message: Message, payload: bytes) -> None:
        """Take what the attempt says: one of core.parent's messages, with its fields."""
        ...

    def end(self) -> None:
        """The attempt is over. Idempotent."""
        ...


class Nested(Protocol):
    """Serves clients inside phases. ``url`` is what people call this host."""

    @property
    def url(self) -> str: ...

    def open(self, attempt: Attempt, send: Send) -> NestedLine:
        """``send`` says something to the attempt."""
        ...


# --- the publisher ---------------------------------------------------------------------------------------------


class Publisher(Protocol):
    """Tells clients what is already durable. Synchronous and never slow: it queues."""

    def events(self, owner: str, task: TaskState, events: Sequence[Event]) -> None: ...

    def progress(self, owner: str, task: TaskState, update: PhaseUpdate) -> None: ...

    def log(self, owner: str, task: TaskState, log: PhaseLog) -> None: ...


# --- observers -------------------------------------------------------------------------------------------------


class Observer(Protocol):
    """Hears of the tasks that this host carries: what it measures must be counted once, by one host.

    Synchronous and never slow. What it raises is logged, and harms no task.
    """

    def began(self, task: TaskState, launch: Launch) -> None:
        """This host carries the task from now on: launched, retried, or taken over from a host that is gone."""
        ...

    def events(self, owner: str, task: TaskState, events: Sequence[Event]) -> None:
        """Events of an owner's task, durable already; ``task`` is as they left it."""
        ...

    def gone(self, task_id: str) -> None:
        """This host carries the task no more: it ended, or was let go of as it was."""
        ...

    def traceparent(self, task_id: str) -> str | None:
        """The attempt that runs, as its worker should know it (W3 Trace Context); None where nothing is traced."""
        ...
