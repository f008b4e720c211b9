"""PhaseManager: what a host can be asked about tasks: launch, steer, look. Carrying them is core.carrier's.

Rules: every method is called on the host's event loop; a command answers once its effect is durable; a task of another
owner does not exist here; a command for a task that another host carries is appended to its log, where that host
finds it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from phasenb.core.attempts import EngineLimits
from phasenb.core.carrier import WAITING, Carrier
from phasenb.core.decisions import Decision
from phasenb.core.folding import PAGE, folded
from phasenb.core.launch_check import check_launch
from phasenb.core.launching import plan_of, policy_of
from phasenb.core.live_task import LiveTask
from phasenb.core.observers import Observers
from phasenb.core.ports import Adopted, Clock, Executor, Observer, Publisher, Store, StoredTask, Taking
from phasenb.core.task_schema import with_update
from phasenb.core.thresholds import SessionFailures
from phasenb.core.told import Told
from phasenb.dto.base import format_time, new_ulid
from phasenb.dto.events import Event, PhaseUpdate, parse_event
from phasenb.dto.launch import AgentSpec, Launch
from phasenb.dto.policies import RecoveryPolicy
from phasenb.dto.task_state import Queue, TaskState
from phasenb.dto.values import Json
from phasenb.errors import (
    Conflict,
    LaunchError,
    LaunchesPaused,
    PhasenbError,
    QueueFull,
    UnknownAgent,
    UnknownTask,
)

_CONFLICTS = 20


@dataclass(frozen=True, slots=True)
class Launched:
    """``duplicate``: the launch was known already, and ``task`` is what it made then."""

    task: TaskState
    duplicate: bool


class PhaseManager:
    """Owns the live tasks of one host, over ports (core.ports); ``agents``: registered name -> "module:attribute".

    ``host``: this host's id in leases; core.keeper changes it when the lease was lost.
    """

    def __init__(
        self,
        store: Store,
        executors: Mapping[str, Executor],
        publisher: Publisher,
        clock: Clock,
        *,
        policy: RecoveryPolicy | None = None,
        limits: EngineLimits | None = None,
        agents: Mapping[str, str] | None = None,
        default_executor: str = "process",
        host: str = "host",
        observers: Sequence[Observer] = (),
        roll: Callable[[], float] = random.random,
    ) -> None:
        self.store = store
        self.agents = dict(agents or {})
        self.host = host
        self._policy = policy or RecoveryPolicy()
        self._default_executor = default_executor
        self._live: dict[str, LiveTask] = {}
        self._specs: dict[str, AgentSpec] = {}
        self._failures = SessionFailures(store)
        self._observers = Observers(observers)
        told = self._told = Told(publisher, self._observers)
        self._carrier = Carrier(
            store,
            executors,
            told,
            clock,
            limits or EngineLimits(),
            self.agents,
            roll,
            self._failures,
            self._observers.traceparent,
        )

    @property
    def running(self) -> int:
        """How many tasks this host carries now, waiting ones included."""
        return len(self._live)

    @property
    def waiting(self) -> int:
        """How many of them wait for a person."""
        return sum(live.task.state in WAITING for live in self._live.values())

    @property
    def queued(self) -> int:
        """How many of them wait for a place in an executor."""
        return sum(places.waiting for places in self._carrier.places.values())

    @property
    def kinds(self) -> tuple[str, ...]:
        """The executors that this host offers."""
        return tuple(self._carrier.executors)

    # --- launching -------------------------------------------------------------------------------------------------

    async def launch(self, owner: str, session: str, launch: Launch) -> Launched:
        """Create a task; it is durable when this returns, and may run already.

        Raises LaunchError, UnknownAgent, RuntimeMismatch, QueueFull, LaunchesPaused, Conflict, StoreUnavailable.
        """
        kind = self._executor_of(launch)
        mismatch = self._carrier.executors[kind].refusal(launch.runtime)
        if mismatch is not None and launch.code is not None:
            raise mismatch
        policy = policy_of(launch, self._policy, self.agents)
        await self._check_thresholds(owner, session, policy)
        places = self._carrier.places[kind]
        if places.waiting >= self._carrier.limits.queued_tasks:
            raise QueueFull(self._carrier.limits.queued_tasks)
        agent, phases = await self._described(owner, launch, kind)
        plan = plan_of(launch, policy, phases)
        decision = Decision(None, self._carrier.clock.now(), plan=plan, task_id=new_ulid(), session=session)
        decision.create(launch, agent, phases)
        slot = self._carrier.executors[kind].warm(owner, launch.runtime) if places.free else None
        if slot:
            places.take()
        running = decision.proceed(slot.worker if slot else None, launch.inputs)
        try:
            appended = await self.store.append(decision.append(owner, launch, take=Taking(self.host, kind)))
        except PhasenbError:
            await self._carrier.give_back(kind, slot)
            raise
        if appended.duplicate:
            await self._carrier.give_back(kind, slot)
            return Launched(await self.snapshot(owner, appended.task_id), duplicate=True)
        live = LiveTask(
            owner, decision.state, launch, plan, kind, decision.history, dict(launch.inputs), appended.lease, slot=slot
        )
        live.running = running
        self._observers.began(live.task, launch)
        self._told.events(owner, decision.state, decision.events)
        self._carry(live)
        return Launched(decision.state, duplicate=False)

    def resume_launches(self, owner: str, session: str) -> None:
        """Let a session launch again although a threshold holds: its failures so far are forgiven."""
        self._failures.forgive(owner, session, self._carrier.clock.now())

    # --- steering --------------------------------------------------------------------------------------------------

    async def cancel(self, owner: str, task_id: str, by: str) -> TaskState:
        """Ask for a task's end; durable when this returns. Cancelling twice is fine.

        Raises UnknownTask, IllegalTransition (the task ended otherwise), StoreUnavailable; all that follow do.
        """
        live = self._live.get(task_id)
        if live is not None and live.owner == owner:
            live.cancelled_by = by
        return await self._command(owner, task_id, lambda decision: decision.cancel(by))

    async def pause(self, owner: str, task_id: str, by: str) -> TaskState:
        """Start nothing new; the attempt that runs finishes and counts."""
        return await self._command(owner, task_id, lambda decision: decision.pause(by))

    async def resume(self, owner: str, task_id: str, by: str) -> TaskState:
        """Go on after a pause."""
        return await self._command(owner, task_id, lambda decision: decision.resume(by))

    async def approve(
        self,
        owner: str,
        task_id: str,
        by: str,
        phase: str,
        if_seq: int,
        note: str | None = None,
        edit: tuple[Json] | None = None,
    ) -> TaskState:
        """Open the gate that was asked for with event ``if_seq``; ``edit``: (value,) instead of the last output.

        Raises Conflict where the gate has moved on.
        """

        def decide(decision: Decision) -> None:
            _check_gate(decision.state, phase, if_seq)
            decision.approve(by, phase, note, edit)

        return await self._command(owner, task_id, decide)

    async def deny(
        self, owner: str, task_id: str, by: str, phase: str, if_seq: int, reason: str, redo: str | None = None
    ) -> TaskState:
        """Keep the gate shut: the task ends, or runs ``redo`` again. Raises Conflict, LaunchError (no such phase)."""

        def decide(decision: Decision) -> None:
            _check_gate(decision.state, phase, if_seq)
            before = decision.history.phases[: decision.history.phases.index(phase)]
            if redo is not None and redo not in before:
                raise LaunchError(f"{redo!r} is no phase before {phase} (those are: {', '.join(before) or 'none'})")
            decision.deny(by, phase, reason, redo)

        return await self._command(owner, task_id, decide)

    async def retry(
        self,
        owner: str,
        task_id: str,
        by: str,
        from_phase: str | None = None,
        if_seq: int | None = None,
        code: Json = None,
    ) -> TaskState:
        """Run a task that failed or was cancelled again, here: finished phases before ``from_phase`` stay.

        ``code`` replaces the launch's. Raises Conflict (``if_seq`` is not the newest), LaunchError.
        """
        stored = await self._stored(owner, task_id)
        ended = self._live.get(stored.task.task_id)
        if ended is not None:
            await ended.ended.wait()
        launch = await self.store.launch(stored.task.task_id)
        kind = self._executor_of(launch)
        if code is not None:
            launch = launch.changed(agent=None, code=code)
        found = await folded(self.store, stored.task.task_id)
        state, history, values = found.task, found.history, found.values
        if if_seq is not None and if_seq != state.seq:
            raise Conflict(state.task_id, f"it is at event {state.seq} now, not at {if_seq}")
        plan = plan_of(launch, policy_of(launch, self._policy, self.agents), history.phases)
        decision = Decision(state, self._carrier.clock.now(), history, plan)
        decision.retry(by, from_phase, new_code=code is not None)
        take = Taking(self.host, kind)
        appended = await self.store.append(decision.append(owner, launch if code is not None else None, take=take))
        live = LiveTask(owner, state, launch, plan, kind, history, values, appended.lease)
        live.take(decision)
        self._observers.began(live.task, launch)
        await self._tell_log(owner, decision.state)
        self._carry(live)
        return decision.state

    async def _command(self, owner: str, task_id: str, decide: Callable[[Decision], None]) -> TaskState:
        """Append what a person asks for, to a task of this host or of another."""
        for _ in range(_CONFLICTS):
            live = self._live.get(task_id)
            if live is None:
                stored = await self._stored(owner, task_id)
                live = self._live.get(stored.task.task_id)
            if live is not None:
                if live.owner != owner:
                    raise UnknownTask(task_id)
                await self._carrier.commit(live, decide)
                self._carrier.heed(live)
                return self.with_progress(live.task)
            found = await folded(self.store, stored.task.task_id)
            decision = Decision(found.task, self._carrier.clock.now(), found.history)
            decide(decision)
            if not decision.events:
                return decision.state
            try:
                await self.store.append(decision.append(owner))
            except Conflict:
                continue  # its host was quicker: decide on what is true now
            await self._tell_log(owner, decision.state)
            return decision.state
        raise Conflict(task_id, "other hosts keep changing this task")

    async def _tell_log(self, owner: str, task: TaskState) -> None:
        """Announce a task's log as far as it is not yet: what came before our events may be another host's."""
        texts = await self.store.events(task.task_id, self._told.last(task.task_id), PAGE)
        self._told.events(owner, task, [parse_event(text) for text in texts], carried=False)

    # --- looking ---------------------------------------------------------------------------------------------------

    async def snapshot(self, owner: str, task_id: str) -> TaskState:
        """A task with its newest progress, by id or a unique suffix. Raises UnknownTask, also for another owner's."""
        live = self._live.get(task_id)
        if live is None:
            stored = await self._stored(owner, task_id)
            live = self._live.get(stored.task.task_id)
            if live is None:
                return stored.task
        if live.owner != owner:
            raise UnknownTask(task_id)
        return self.with_progress(live.task)

    def with_progress(self, task: TaskState) -> TaskState:
        """A snapshot with what this host alone knows: newest progress, place in the queue, that it is the host."""
        live = self._live.get(task.task_id)
        if live is None:
            return task
        shown = with_update(live.task, live.update) if live.update else live.task
        position = self._carrier.places[live.executor].position(task.task_id)
        queue = Queue(position=position, reason=self._carrier.waits_for(live)) if position else None
        return shown.changed(by_host=self.host, queue=queue)

    def newest_update(self, task_id: str) -> PhaseUpdate | None:
        live = self._live.get(task_id)
        return live.update if live else None

    async def ended(self, task_id: str) -> None:
        """Return when this host no longer carries the task: it is terminal, and its slot is given back."""
        live = self._live.get(task_id)
        if live:
            await live.ended.wait()

    # --- hosts -----------------------------------------------------------------------------------------------------

    async def adopt(self, adopted: Adopted) -> None:
        """Take up a task that another host left behind, after its last committed phase."""
        found = await folded(self.store, adopted.task.task_id)
        launch, kind = adopted.launch, self._executor_of(adopted.launch)
        plan = plan_of(launch, policy_of(launch, self._policy, self.agents), found.history.phases)
        live = LiveTask(adopted.owner, found.task, launch, plan, kind, found.history, found.values, adopted.lease)
        self._observers.began(live.task, launch)
        await self._carrier.persist(live, lambda decision: decision.recover(self.host))
        if live.task.state.terminal:
            self._observers.gone(live.task.task_id)
        else:
            self._carry(live)

    async def follow(self, owner: str, task_id: str, events: list[Event]) -> None:
        """What another host appended: to a task of this host, which it must heed, or to one to be told of only."""
        live = self._live.get(task_id)
        if live is None:
            stored = await self.store.find(task_id) if self._told.untold(events) else None
            if stored is not None:
                self._told.events(owner, stored.task, events, carried=False)
        elif events[-1].seq > live.task.seq:
            async with live.lock:
                await self._carrier.catch_up(live)

    def told(self, task_id: str) -> int:
        """The seq of the newest event of a task that this host has told of; 0 where none was."""
        return self._told.last(task_id)

    async def let_go(self) -> None:
        """Stop carrying every task at once, as it is: this host was taken for dead, and they are others' now."""
        carriers = [live.carrier for live in self._live.values() if live.carrier]
        for carrier in carriers:
            carrier.cancel()
        await asyncio.gather(*carriers, return_exceptions=True)

    async def stop(self) -> None:
        """Let go of every task as it is: attempts are ended by force, the log keeps what was reported."""
        await self.let_go()
        await self._carrier.attempts.settled()

    # --- helpers ---------------------------------------------------------------------------------------------------

    def _carry(self, live: LiveTask) -> None:
        task_id = live.task.task_id
        self._live[task_id] = live

        def forget(_: asyncio.Task[None]) -> None:
            live.ended.set()  # here, since a carrier that is cancelled before its first step runs no `finally`
            if live.slot is not None:
                self._carrier.give_back_soon(live)
            if self._live.get(task_id) is live:
                del self._live[task_id]
                self._observers.gone(task_id)

        live.carrier = asyncio.create_task(self._carrier.carry(live), name=f"carry {task_id}")
        live.carrier.add_done_callback(forget)

    async def _stored(self, owner: str, task_id: str) -> StoredTask:
        stored = await self.store.find(task_id, owner=owner)
        if stored is None or stored.owner != owner:
            raise UnknownTask(task_id)
        return stored

    async def _check_thresholds(self, owner: str, session: str, policy: RecoveryPolicy) -> None:
        now = self._carrier.clock.now()
        found = await self._failures.reached(owner, session, policy.thresholds, now, "pause_launches")
        if found is not None:
            threshold = found.threshold
            raise LaunchesPaused(session, threshold.errors, threshold.window, format_time(found.until))

    def _executor_of(self, launch: Launch) -> str:
        kind = launch.options.executor or self._default_executor
        if kind not in self._carrier.executors:
            offered = ", ".join(self._carrier.executors)
            raise LaunchError(
                f"executor {kind!r} is not offered by this host (it offers: {offered})", argument="executor"
            )
        own = [name for name in ("env", "secrets") if getattr(launch.options, name)]
        if own and not self._carrier.executors[kind].sets_variables:
            raise LaunchError(
                f"the option `{own[0]}` needs executor='process': with {kind!r} phases run in the launcher's own "
                "process, whose variables they share",
                argument=own[0],
            )
        return kind

    async def _described(self, owner: str, launch: Launch, kind: str) -> tuple[str, tuple[str, ...]]:
        """(the agent's name, the phases). Asks a worker only when the launch does not say it."""
        options = launch.options
        if launch.agent is None and options.phases:
            return options.name or "agent", options.phases
        target = self._registered(launch.agent) if launch.agent is not None else None
        spec = self._specs.get(target) if target else None
        if spec is None:
            url = self.store.objects_url(owner)
            spec = await self._carrier.executors[kind].describe(
                owner, launch.runtime, target, launch.code, url, env=options.env, secrets=options.secrets
            )
            if target:
                self._specs[target] = spec
        check_launch(spec, launch.inputs)
        if options.phases and options.phases != spec.phases:
            raise LaunchError(f"agent {spec.name!r} has the phases {', '.join(spec.phases)}", argument="phases")
        return launch.agent or spec.name, spec.phases

    def _registered(self, name: str) -> str:
        try:
            return self.agents[name]
        except KeyError:
            raise UnknownAgent(name, sorted(self.agents)) from None


def _check_gate(task: TaskState, phase: str, if_seq: int) -> None:
    gate = task.approval
    if gate is None or (gate.phase, gate.seq) != (phase, if_seq):
        now = f"the gate before {gate.phase} with event {gate.seq}" if gate else f"no gate: it is {task.state}"
        raise Conflict(task.task_id, f"what was answered is not open any more; open is {now}")
