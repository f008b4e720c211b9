"""run: a workflow through all its phases in a test, with retries, rollbacks and gates, and without waiting for any.

Rules:

* The engine is the real one, and so are the functions, each in a thread of this process; store, clock and publisher
  are fakes. Time stands still while a phase runs and jumps over what nobody needs to wait for, so an hour of backoff
  takes no time and an attempt never times out.
* Values travel between phases as they do between workers: encoded and decoded, never the same object.
* ``env`` and ``secrets`` of the options are not set: a test sets what its functions read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from phasenb.codecs import decode, encode
from phasenb.codecs.objects import ObjectFolder
from phasenb.config.loading import load_policy
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.core.history import values_after
from phasenb.core.launch_check import check_launch
from phasenb.core.phase_manager import PhaseManager
from phasenb.core.ports import NONE, Run, Slot
from phasenb.core.reports import Attempt, Outcome, Report
from phasenb.core.task_schema import fold
from phasenb.dto.agent_spec import AgentSpec
from phasenb.dto.events import Event, parse_event
from phasenb.dto.launch import Launch, LaunchOptions, Runtime
from phasenb.dto.phase_result import ResultStatus
from phasenb.dto.task_state import State, TaskState
from phasenb.dto.values import Json
from phasenb.errors import ApprovalNeeded, LaunchError
from phasenb.executors.failures import error_info
from phasenb.executors.performing import Load, Performance
from phasenb.executors.reports import Reports
from phasenb.testing.fakes import FakeClock, FakeStore, RecordingPublisher

_OWNER, _SESSION, _CODE = "tester", "test", "in this process"
_UNCHANGED: Any = object()
_TURNS = 20  # of the loop, without any news: everyone waits for time or for a person


@dataclass(frozen=True, slots=True)
class Approve:
    """Open a gate; ``edit`` replaces the output before it."""

    edit: Any = _UNCHANGED
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Deny:
    """Keep a gate shut: the task ends, or phase ``redo`` runs again with ``reason`` as its ``ctx.feedback``."""

    reason: str = ""
    redo: str | None = None


Answer = Approve | Deny
Answers = Mapping[str, Answer | Sequence[Answer]]
Failures = Mapping[str, BaseException | Sequence[BaseException | None] | None]


class Ran(NamedTuple):
    """How a workflow went. ``outputs``: of the phases that count, by name, decoded; ``events``: its whole log."""

    outputs: dict[str, Any]
    events: list[Event]

    @property
    def task(self) -> TaskState:
        """The task at its end: ``.state``, ``.error``, ``.phases``."""
        task = fold(self.events)
        assert task is not None, "a run has a first event"
        return task

    @property
    def types(self) -> list[str]:
        """The types of the events, in order."""
        return [event.type for event in self.events]


def run(
    flow: Any,
    inputs: Mapping[str, Any] | None = None,
    *,
    answers: Answers | None = None,
    fail: Failures | None = None,
    agents: Mapping[str, Any] | None = None,
) -> Ran:
    """Run ``flow`` (a Workflow, or any agent) to its end, with the options it has, and say how it went.

    ``answers``: by the phase that a gate stands before, in the order in which it is asked. ``fail``: by phase, what
    its attempts raise instead of running, in order; None, and every attempt after the last one, runs. One alone may
    stand without a list.
    ``agents``: those that ``recovery`` names as fallbacks, by name.
    Raises LaunchError for inputs or options that don't fit, ApprovalNeeded for a gate that has no answer. A phase that
    fails is no exception here: look at ``.task``.
    """
    play = _Play(ExtendedAgent.of(flow), dict(inputs or {}), answers or {}, fail or {}, agents or {})
    with ThreadPoolExecutor(1) as thread:  # the caller may be on a loop itself
        return thread.submit(asyncio.run, play.run()).result()


class _Play:
    """One run."""

    def __init__(
        self,
        agent: ExtendedAgent,
        inputs: dict[str, Any],
        answers: Answers,
        fail: Failures,
        agents: Mapping[str, Any],
    ) -> None:
        self._spec = agent.spec()
        check_launch(self._spec, inputs)
        for option, named in (("answers", answers), ("fail", fail)):
            for phase in named:
                if phase not in self._spec.phases:
                    raise LaunchError(f"`{option}` names {phase!r}, which is no phase of {agent.name}", argument=option)
        self._agent = agent
        self._inputs = inputs
        self._answers = {
            phase: [given] if isinstance(given, Approve | Deny) else list(given) for phase, given in answers.items()
        }
        self._executor = _Here(agent, {phase: _errors(phase, given) for phase, given in fail.items()}, agents)
        self._agents = {name: name for name in agents}
        self._clock = FakeClock()

    async def run(self) -> Ran:
        with TemporaryDirectory(prefix="phasenb-test-") as folder:
            store = FakeStore(folder)
            self._objects = ObjectFolder(store.objects_url(_OWNER))
            manager = PhaseManager(
                store,
                {self._executor.kind: self._executor},
                RecordingPublisher(),
                self._clock,
                agents=self._agents,
                default_executor=self._executor.kind,
                roll=lambda: 0.5,
                policy=load_policy(),
            )
            task_id = (await manager.launch(_OWNER, _SESSION, self._launch())).task.task_id
            try:
                while not (task := (await manager.snapshot(_OWNER, task_id))).state.terminal:
                    await self._next(manager, task)
            finally:
                await manager.stop()
            events = [parse_event(text) for text in await store.events(task_id, 0, 1_000_000)]
            return Ran(self._outputs(events), events)

    def _launch(self) -> Launch:
        said = {name: value for name, value in self._agent.options.items() if name in LaunchOptions.model_fields}
        for name in ("executor", "env", "secrets"):
            said.pop(name, None)
        if isinstance(said.get("approve_before"), str):
            said["approve_before"] = (said["approve_before"],)
        options = LaunchOptions.model_validate(
            {"name": self._agent.name, **self._spec.under(said), "phases": self._spec.phases}
        )
        inputs = {name: encode(value, self._objects).value for name, value in self._inputs.items()}
        return Launch(code=_CODE, inputs=inputs, options=options)

    async def _next(self, manager: PhaseManager, task: TaskState) -> None:
        """Answer a gate, or let work and time go on."""
        if task.approval is not None:
            await self._answer(manager, task)
        elif task.state is State.PAUSED:
            await manager.resume(_OWNER, task.task_id, _OWNER)
        elif not await self._news(manager, task) and self._clock.sleeping:
            self._clock.advance(self._clock.sleeping[0])

    async def _news(self, manager: PhaseManager, task: TaskState) -> bool:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
            await self._executor.idle()
            if (await manager.snapshot(_OWNER, task.task_id)).seq != task.seq:
                return True
        return False

    async def _answer(self, manager: PhaseManager, task: TaskState) -> None:
        gate = task.approval
        assert gate is not None  # asked by the caller
        waiting = self._answers.get(gate.phase)
        if not waiting:
            raise ApprovalNeeded(task.task_id, gate.phase)
        answer, where = waiting.pop(0), (_OWNER, task.task_id, _OWNER, gate.phase, gate.seq)
        if isinstance(answer, Deny):
            await manager.deny(*where, answer.reason, answer.redo)
        else:
            edit = None if answer.edit is _UNCHANGED else (encode(answer.edit, self._objects).value,)
            await manager.approve(*where, answer.note, edit)

    def _outputs(self, events: Sequence[Event]) -> dict[str, Any]:
        values: dict[str, Json] = {}
        for event in events:
            values = values_after(values, event, self._spec.phases)
        return {phase: decode(values[phase], self._objects) for phase in self._spec.phases if phase in values}


def _errors(phase: str, given: Any) -> list[BaseException | None]:
    errors = list(given) if isinstance(given, Sequence) else [given]
    for error in errors:
        if error is not None and not isinstance(error, BaseException):
            problem = f"`fail` gives {error!r:.80} for {phase}: exceptions are wanted, as ValueError()"
            raise LaunchError(problem, argument="fail")
    return errors


class _Run(Reports):
    """ports.Run of one attempt in a thread."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__()
        loop = asyncio.get_running_loop()
        self._performance = Performance(attempt, lambda report: _soon(loop, self.put, report))

    async def perform(self, load: Load) -> None:
        self.put(await asyncio.to_thread(self._performance.perform, load))

    async def stop(self, grace_s: float) -> None:
        self._performance.cancel()


def _soon(loop: asyncio.AbstractEventLoop, put: Callable[[Report], None], report: Report) -> None:
    loop.call_soon_threadsafe(put, report)


class _Here:
    """ports.Executor, and the one Slot that it has."""

    kind = "process"
    capacity = 1
    sets_variables = True
    worker = "test"
    alive = True

    def __init__(
        self, agent: ExtendedAgent, fail: dict[str, list[BaseException | None]], others: Mapping[str, Any]
    ) -> None:
        self._agent = agent
        self._others = others
        self._fail = fail
        self._busy: set[asyncio.Task[None]] = set()

    async def idle(self) -> None:
        """Return when no phase runs."""
        while self._busy:
            await asyncio.wait(tuple(self._busy))

    def run(self, attempt: Attempt) -> Run:
        run = _Run(attempt)
        waiting = self._fail.get(attempt.phase) if attempt.kind == "phase" and not attempt.fallback else None
        error = waiting.pop(0) if waiting else None
        if error is not None:
            run.put(Outcome(ResultStatus.FAILED, error=error_info(error)))
        else:
            work = asyncio.create_task(run.perform(self._load))
            self._busy.add(work)
            work.add_done_callback(self._busy.discard)
        return run

    def refusal(self, runtime: Runtime | None) -> None:
        return None

    def warm(self, owner: str, runtime: Runtime | None, *, fresh: bool = False) -> None:
        return None

    async def reserve(self, owner: str, runtime: Runtime | None, *, fresh: bool = False) -> Slot:
        return self

    async def release(self) -> None: ...

    async def close(self) -> None: ...

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
        return self._given(agent).spec()

    def _load(self, agent: str | None, code: Json, folder: ObjectFolder) -> ExtendedAgent:
        """An agent that is there already, built anew for an attempt: nothing is pickled."""
        return self._given(agent).anew()

    def _given(self, agent: str | None) -> ExtendedAgent:
        return self._agent if agent is None else ExtendedAgent.of(self._others[agent])
