"""Public fakes of the ports (core.ports), for tests of agents, policies and of phasenb itself.

Nothing here waits for real time or touches a disk: a FakeClock moves when it is told to, a ScriptedExecutor plays the
reports it was given, a FakeStore keeps the log in memory under the same compare-and-set rule as MemorySaver.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from phasenb.core.notebooks import moved, session_of
from phasenb.core.ports import NONE, Adopted, Append, Appended, Change, HostInfo, Lease, StoredTask
from phasenb.core.reports import Attempt, Outcome, Report
from phasenb.core.task_names import MOST_NAMED
from phasenb.dto.agent_spec import AgentSpec, FunctionSpec
from phasenb.dto.events import Event, PhaseLog, PhaseUpdate
from phasenb.dto.launch import Launch, Runtime, code_id
from phasenb.dto.phase import Checkpoint
from phasenb.dto.phase_result import ErrorInfo, PhaseResult, ResultStatus
from phasenb.dto.task_state import State, TaskState
from phasenb.dto.values import Json
from phasenb.errors import BadMessage, Conflict, LeaseLost, UnknownObject, UnknownTask


class FakeClock:
    """Time that moves only in ``advance``; sleepers wake in the order of their times."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = 0

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._order += 1
        heapq.heappush(self._sleepers, (self._elapsed + seconds, self._order, wake))
        await wake

    @property
    def sleeping(self) -> list[float]:
        """How many seconds each sleeper still has to wait, soonest first."""
        return sorted(due - self._elapsed for due, _, wake in self._sleepers if not wake.done())

    def set_back(self, seconds: float) -> None:
        """Change the wall time only, as a person or a time server does; less than 0 sets it forward."""
        self._start -= timedelta(seconds=seconds)

    def advance(self, seconds: float) -> None:
        """Move time on, and wake whoever is due."""
        self._elapsed += seconds
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            *_, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                wake.set_result(None)


class RecordingPublisher:
    """Keeps what was told, in order: ``told`` holds events, updates and log messages together."""

    def __init__(self) -> None:
        self.told: list[Event | PhaseUpdate | PhaseLog] = []

    def events(self, owner: str, task: TaskState, events: Sequence[Event]) -> None:
        self.told.extend(events)

    def progress(self, owner: str, task: TaskState, update: PhaseUpdate) -> None:
        self.told.append(update)

    def log(self, owner: str, task: TaskState, log: PhaseLog) -> None:
        self.told.append(log)


def finished(output: Json = None) -> Outcome:
    """An attempt that went well."""
    return Outcome(ResultStatus.COMPLETE, output=output, output_type=type(output).__name__)


def failed(error_type: str = "RuntimeError", message: str = "", *, bases: Sequence[str] = ()) -> Outcome:
    """An attempt that raised."""
    classes = tuple(bases) or (error_type, "Exception")
    return Outcome(ResultStatus.FAILED, error=ErrorInfo(type=error_type, message=message, bases=classes))


class ScriptedExecutor:
    """Plays ``script[phase]``: one list of reports per attempt, the last one of which is an Outcome. Attempts of a
    phase's compensation are played from ``script["undo " + phase]``.

    A phase that is not in the script completes with its own name as output. ``hold(phase)`` makes attempts of a phase
    wait before their Outcome until ``let_go(phase)``. ``attempts`` are those that ran.
    """

    kind = "process"
    sets_variables = True

    def __init__(self, script: Mapping[str, Iterable[Sequence[Report]]] | None = None, capacity: int = 8) -> None:
        self.capacity = capacity
        self.attempts: list[Attempt] = []
        self.started: asyncio.Queue[Attempt] = asyncio.Queue()
        self.spec = AgentSpec(
            name="scripted",
            phases=("research", "planning", "implementation"),
            functions={name: FunctionSpec(name=name, open=True) for name in ("research", "planning", "implementation")},
        )
        self.out = 0
        self._script = {phase: iter(attempts) for phase, attempts in (script or {}).items()}
        self._held: dict[str, asyncio.Event] = {}

    def hold(self, phase: str) -> None:
        self._held[phase] = asyncio.Event()

    def let_go(self, phase: str) -> None:
        self._held.pop(phase).set()

    def refusal(self, runtime: Runtime | None) -> None:
        return None

    def warm(self, owner: str, runtime: Runtime | None, *, fresh: bool = False) -> _ScriptedSlot | None:
        return None

    async def reserve(self, owner: str, runtime: Runtime | None, *, fresh: bool = False) -> _ScriptedSlot:
        self.out += 1
        return _ScriptedSlot(self)

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
        return self.spec

    async def close(self) -> None:
        return None

    def _reports(self, attempt: Attempt) -> Sequence[Report]:
        reports = self._script.get(_scene(attempt))
        return next(reports) if reports is not None else [finished(attempt.phase)]

    def _gate(self, attempt: Attempt) -> asyncio.Event | None:
        return self._held.get(_scene(attempt))


def _scene(attempt: Attempt) -> str:
    return f"undo {attempt.phase}" if attempt.kind == "compensation" else attempt.phase


class _ScriptedSlot:
    worker = "scripted-1"
    alive = True

    def __init__(self, executor: ScriptedExecutor) -> None:
        self._executor = executor

    def run(self, attempt: Attempt) -> _ScriptedRun:
        executor = self._executor
        executor.attempts.append(attempt)
        executor.started.put_nowait(attempt)
        return _ScriptedRun(executor._reports(attempt), executor._gate(attempt))

    async def release(self) -> None:
        self._executor.out -= 1


class _ScriptedRun:
    def __init__(self, reports: Sequence[Report], gate: asyncio.Event | None) -> None:
        self._reports = reports
        self._gate = gate
        self._stopped = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[Report]:
        *before, outcome = self._reports
        for report in before:
            yield report
        if self._gate is not None:
            waits = [asyncio.create_task(event.wait()) for event in (self._gate, self._stopped)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        yield Outcome(ResultStatus.CANCELLED) if self._stopped.is_set() else outcome

    async def stop(self, grace_s: float) -> None:
        self._stopped.set()


@dataclass
class _Kept:
    """All of one task in a FakeStore."""

    stored: StoredTask
    launch: Launch
    events: list[Event] = field(default_factory=list)
    results: list[PhaseResult] = field(default_factory=list)
    lease: Lease = field(default_factory=lambda: Lease("", 0))
    executor: str = "process"
    lines: list[dict[str, Json]] = field(default_factory=list)
    checkpoints: dict[str, tuple[int, Checkpoint]] = field(default_factory=dict)
    sources: dict[str | None, dict[str, str]] = field(default_factory=dict)  # by dto.launch.code_id


class FakeStore:
    """ports.Store in memory. ``refuse`` holds errors that the next appends raise, in order: fault injection.

    ``objects``: the URL or folder that phases write their larger values to.
    """

    epoch = "fake-epoch"

    def __init__(self, objects: str = "memory://phasenb") -> None:
        self.refuse: list[Exception] = []
        self._objects_url = objects
        self._log: list[Change] = []
        self._hosts: dict[str, HostInfo] = {}
        self._gone: set[str] = set()
        self._kept: dict[str, _Kept] = {}
        self._objects: dict[tuple[str, str], bytes] = {}
        self._notebooks: dict[tuple[str, str], str | None] = {}  # (owner, session) -> path

    async def append(self, append: Append) -> Appended:
        if self.refuse:
            raise self.refuse.pop(0)
        task_id = append.task.task_id
        if append.take is not None and append.take.host in self._gone:
            raise LeaseLost(append.take.host)
        if append.launch is not None and append.events[0].seq == 1:
            known = await self.launched(append.owner, append.task.session, append.launch)
            if known is not None:
                return Appended(known, duplicate=True)
            self._kept[task_id] = _Kept(StoredTask(append.owner, append.task), append.launch)
        kept = self._of(task_id)
        if append.lease is not None and append.lease != kept.lease:
            raise LeaseLost(append.lease.host, task_id)
        if len(kept.events) != append.events[0].seq - 1:
            raise Conflict(task_id, f"its log is at {len(kept.events)}, not at {append.events[0].seq - 1}")
        kept.events.extend(append.events)
        kept.results.extend(append.results)
        kept.stored = StoredTask(append.owner, append.task)
        kept.launch = append.launch or kept.launch
        if append.launch is not None and append.launch.source:
            kept.sources[code_id(append.launch.code)] = dict(append.launch.source)
        self._log += [
            Change(len(self._log) + number, append.owner, e.task_id, e.seq, e.wire)
            for number, e in enumerate(append.events, 1)
        ]
        if append.take is not None:
            kept.executor = append.take.executor
            kept.lease = Lease(append.take.host, kept.lease.fence + 1)
        return Appended(task_id, lease=kept.lease)

    async def launched(self, owner: str, session: str, launch: Launch) -> str | None:
        asked, options = launch, launch.options
        for task_id, kept in reversed(self._kept.items()):
            if (kept.stored.owner, kept.stored.task.session) != (owner, session):
                continue
            if asked.idempotency_key and asked.idempotency_key == kept.launch.idempotency_key:
                return task_id
            if options.key and options.key == kept.stored.task.key and options.if_exists != "new":
                if options.if_exists == "error":
                    raise Conflict(task_id, f"the key {options.key!r} is already used")
                return task_id
        return None

    def _of(self, task_id: str) -> _Kept:
        try:
            return self._kept[task_id]
        except KeyError:
            raise UnknownTask(task_id) from None

    async def add_log(self, log: PhaseLog) -> None:
        lines = self._of(log.task_id).lines
        for number, line in enumerate(log.lines, log.first_line):
            where = {"phase": log.phase, "attempt": log.attempt, "line": number}
            lines.append({"cursor": len(lines) + 1, **where, **line.model_dump(mode="json")})

    async def add_checkpoint(
        self, task_id: str, phase: str, attempt: int, value: Json, lease: Lease | None = None
    ) -> None:
        kept = self._of(task_id)
        if lease is not None and lease != kept.lease:
            raise LeaseLost(lease.host, task_id)
        kept.checkpoints[phase] = (attempt, Checkpoint(value=value))

    async def checkpoint(self, task_id: str, phase: str, *, since: int = 1) -> Checkpoint | None:
        attempt, kept = self._of(task_id).checkpoints.get(phase, (0, None))
        return kept if attempt >= since else None

    async def notebook_session(self, owner: str, path: str) -> str:
        for (of_owner, session), known in self._notebooks.items():
            if (of_owner, known) == (owner, path):
                return session
        session = session_of(path)
        if (owner, session) in self._notebooks:
            session = session_of(path, end=str(len(self._notebooks)))
        self._notebooks[owner, session] = path
        return session

    async def move_notebooks(self, old: str, new: str | None) -> None:
        if new == old:
            return
        for name, path in self._notebooks.items():
            if path is not None:
                there = moved(path, new, None) if new is not None else path
                self._notebooks[name] = None if there is None else moved(path, old, new)

    async def join(self, host: HostInfo) -> None:
        self._gone.discard(host.host)
        self._hosts[host.host] = host

    async def beat(self, host: str) -> None:
        if host not in self._hosts:
            raise LeaseLost(host)
        self._hosts[host] = replace(self._hosts[host], counter=self._hosts[host].counter + 1)

    async def leave(self, host: str) -> None:
        self._hosts.pop(host, None)
        self._gone.add(host)
        for kept in self._kept.values():
            if kept.lease.host == host:
                kept.lease = Lease("", kept.lease.fence)

    async def hosts(self) -> list[HostInfo]:
        return list(self._hosts.values())

    async def adopt(self, host: str, kinds: Sequence[str], dead: str | None = None) -> list[Adopted]:
        if host in self._gone:
            raise LeaseLost(host)
        if dead is not None:
            await self.leave(dead)
        adopted = []
        for kept in self._kept.values():
            if kept.lease.host == "" and kept.executor in kinds and not kept.stored.task.state.terminal:
                kept.lease = Lease(host, kept.lease.fence + 1)
                adopted.append(Adopted(kept.stored.owner, kept.stored.task, kept.launch, kept.lease))
        return adopted

    async def changes(self, after: int | None, limit: int = 1000) -> list[Change]:
        if after is None:
            return [Change(len(self._log), "")]
        return self._log[after : after + limit]

    async def quiet_until(self) -> int | None:
        return None

    async def collect(self, grace_s: float) -> int:
        return 0

    async def find(self, task_id: str, *, owner: str | None = None) -> StoredTask | None:
        found = [kept.stored for key, kept in self._kept.items() if key.endswith(task_id)]
        found = [stored for stored in found if owner in (None, stored.owner)]
        return found[0] if len(found) == 1 else None

    async def matching(self, owner: str, text: str, *, session: str | None = None) -> list[TaskState]:
        mine = [kept.stored.task for kept in reversed(self._kept.values()) if kept.stored.owner == owner]
        found = (
            [task for task in mine if task.task_id == text]
            or [task for task in mine if task.name == text]
            or [task for task in mine if task.task_id.endswith(text)]
        )
        return sorted(found, key=lambda task: task.session != session)[:MOST_NAMED]

    async def source(self, task_id: str, code: str) -> dict[str, str]:
        return self._of(task_id).sources.get(code, {})

    async def launch(self, task_id: str) -> Launch:
        return self._of(task_id).launch

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
        newest_first = [kept.stored for kept in reversed(self._kept.values()) if kept.stored.owner == owner]
        return [
            stored.task
            for stored in newest_first
            if session in (None, stored.task.session)
            and state in (None, stored.task.state)
            and (before is None or stored.task.task_id < before)
            and (changed_since is None or stored.task.updated_at >= changed_since)
        ][:limit]

    async def changed_at(self, owner: str, *, session: str | None = None) -> datetime | None:
        mine = [kept.stored.task for kept in self._kept.values() if kept.stored.owner == owner]
        return max((task.updated_at for task in mine if session in (None, task.session)), default=None)

    async def events(self, task_id: str, after_seq: int, limit: int) -> list[str]:
        return [event.wire for event in self._of(task_id).events[after_seq : after_seq + limit]]

    async def results(
        self, owner: str, *, session: str | None = None, task_id: str | None = None
    ) -> list[tuple[str, PhaseResult]]:
        return [
            (key, result)
            for key, kept in self._kept.items()
            if kept.stored.owner == owner and task_id in (None, key) and session in (None, kept.stored.task.session)
            for result in kept.results
        ]

    async def scan_results(
        self,
        owner: str,
        take: Callable[[Sequence[tuple[str, str]]], None],
        *,
        session: str | None = None,
        task_id: str | None = None,
    ) -> None:
        found = await self.results(owner, session=session, task_id=task_id)
        take([(key, result.model_dump_json()) for key, result in found])

    async def failures(self, owner: str, session: str, since: datetime, limit: int) -> list[datetime]:
        results = await self.results(owner, session=session)
        times = [result.ended_at for _, result in results if result.counts_as_failure and result.ended_at > since]
        return sorted(times)[-limit:]

    async def logs(self, task_id: str, *, after: int = 0, limit: int = 10_000) -> list[dict[str, Json]]:
        return self._of(task_id).lines[after : after + limit]

    async def newest_logs(self, task_id: str, limit: int) -> list[dict[str, Json]]:
        return self._of(task_id).lines[-limit:]

    async def put_object(self, owner: str, chunks: AsyncIterator[bytes], expected_hash: str) -> int:
        data = b"".join([chunk async for chunk in chunks])
        found = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if found != expected_hash:
            raise BadMessage(f"the bytes have the hash {found}, not {expected_hash}")
        self._objects[owner, found] = data
        return len(data)

    async def has_object(self, owner: str, hash: str) -> bool:
        return (owner, hash) in self._objects

    async def open_object(self, owner: str, hash: str) -> AsyncIterator[bytes]:
        if (owner, hash) not in self._objects:
            raise UnknownObject(hash)
        yield self._objects[owner, hash]

    def objects_url(self, owner: str) -> str:
        return f"{self._objects_url}/{owner}"
