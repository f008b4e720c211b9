"""PhaseManager: what a host can be asked about tasks: launch, cancel, snapshot. Carrying them is core.carrier's.

Rules: every method is called on the host's event loop; a command answers once its effect is durable; a task of another
owner does not exist here.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from phasenb.core import recovery
from phasenb.core.carrier import Carrier, EngineLimits
from phasenb.core.decisions import Decision
from phasenb.core.launch_check import check_launch
from phasenb.core.live_task import LiveTask
from phasenb.core.ports import Clock, Executor, Publisher, Store
from phasenb.core.task_schema import with_update
from phasenb.dto.base import new_ulid
from phasenb.dto.events import PhaseUpdate
from phasenb.dto.launch import AgentSpec, Launch
from phasenb.dto.policies import RecoveryPolicy
from phasenb.dto.task_state import Queue, TaskState
from phasenb.errors import LaunchError, PhasenbError, QueueFull, UnknownAgent, UnknownTask


@dataclass(frozen=True, slots=True)
class Launched:
    """``duplicate``: the launch was known already, and ``task`` is what it made then."""

    task: TaskState
    duplicate: bool


class PhaseManager:
    """Owns the live tasks of one host, over ports (core.ports); ``agents``: registered name -> "module:attribute"."""

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
        roll: Callable[[], float] = random.random,
    ) -> None:
        self.store = store
        self.agents = dict(agents or {})
        self.host = host
        self._policy = policy or RecoveryPolicy()
        self._default_executor = default_executor
        self._live: dict[str, LiveTask] = {}
        self._specs: dict[str, AgentSpec] = {}
        self._carrier = Carrier(store, executors, publisher, clock, limits or EngineLimits(), self.agents, roll)

    @property
    def running(self) -> int:
        """How many tasks this host carries now, waiting ones included."""
        return len(self._live)

    # --- commands --------------------------------------------------------------------------------------------------

    async def launch(self, owner: str, session: str, launch: Launch) -> Launched:
        """Create a task; it is durable when this returns, and may run already.

        Raises LaunchError, UnknownAgent, RuntimeMismatch, QueueFull, Conflict, StoreUnavailable.
        """
        kind = self._executor_of(launch)
        mismatch = self._carrier.executors[kind].refusal(launch.runtime)
        if mismatch is not None and launch.code is not None:
            raise mismatch
        policy = self._policy_of(launch)
        places = self._carrier.places[kind]
        if places.waiting >= self._carrier.limits.queued_tasks:
            raise QueueFull(self._carrier.limits.queued_tasks)
        agent, phases = await self._described(owner, launch, kind)
        decision = Decision(None, self._carrier.clock.now(), new_ulid(), session)
        decision.create(launch, agent, phases)
        slot = self._carrier.executors[kind].warm(owner, launch.runtime) if places.free else None
        if slot:
            places.take()
            decision.start_next(slot.worker)
        try:
            appended = await self.store.append(decision.append(owner, launch))
        except PhasenbError:
            await self._carrier.give_back(kind, slot)
            raise
        if appended.duplicate:
            await self._carrier.give_back(kind, slot)
            return Launched(await self.snapshot(owner, appended.task_id), duplicate=True)
        live = LiveTask(owner, decision.state, launch, policy, kind, dict(launch.inputs), slot=slot)
        self._live[live.task.task_id] = live
        self._carrier.publisher.events(owner, decision.state, decision.events)
        live.carrier = asyncio.create_task(self._carrier.carry(live), name=f"carry {live.task.task_id}")
        live.carrier.add_done_callback(lambda _: self._live.pop(live.task.task_id, None))
        return Launched(decision.state, duplicate=False)

    async def cancel(self, owner: str, task_id: str, by: str) -> TaskState:
        """Ask for a task's end; durable when this returns. Cancelling twice is fine.

        Raises UnknownTask, IllegalTransition (the task ended otherwise), StoreUnavailable.
        """
        task = await self.snapshot(owner, task_id)
        live = self._live.get(task.task_id)
        if live is None:
            decision = Decision(task, self._carrier.clock.now())
            decision.cancel(by)
            if decision.events:
                await self.store.append(decision.append(owner))
                self._carrier.publisher.events(owner, decision.state, decision.events)
            return decision.state
        live.cancelled_by = by
        await self._carrier.commit(live, lambda decision: decision.cancel(by))
        self._carrier.interrupt(live)
        return live.task

    async def snapshot(self, owner: str, task_id: str) -> TaskState:
        """A task with its newest progress, by id or a unique suffix. Raises UnknownTask, also for another owner's."""
        live = self._live.get(task_id)
        if live is None:
            stored = await self.store.find(task_id, owner=owner)
            if stored is None or stored.owner != owner:
                raise UnknownTask(task_id)
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

    async def stop(self) -> None:
        """Let go of every task as it is: attempts are ended by force, the log keeps what was reported."""
        carriers = [live.carrier for live in self._live.values() if live.carrier]
        for carrier in carriers:
            carrier.cancel()
        await asyncio.gather(*carriers, return_exceptions=True)
        await self._carrier.settled()

    # --- launching -------------------------------------------------------------------------------------------------

    def _executor_of(self, launch: Launch) -> str:
        kind = launch.options.executor or self._default_executor
        if kind not in self._carrier.executors:
            offered = ", ".join(self._carrier.executors)
            raise LaunchError(
                f"executor {kind!r} is not offered by this host (it offers: {offered})", argument="executor"
            )
        return kind

    def _policy_of(self, launch: Launch) -> RecoveryPolicy:
        options = launch.options
        if options.timeouts is not None:
            raise LaunchError("the option `timeouts` is one that this release can't act on yet", argument="timeouts")
        if options.recovery is None:
            return self._policy
        try:
            policy = self._policy.overridden(options.recovery)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            path = ".".join(str(part) for part in first["loc"])
            raise LaunchError(
                f"the option `recovery` is not valid at {path}: {first['msg']}", argument="recovery"
            ) from None
        unused = recovery.without_effect(policy)
        if unused:
            raise LaunchError(
                f"the option `recovery` asks for {', '.join(unused)}, which this release can't do yet",
                argument="recovery",
            )
        return policy

    async def _described(self, owner: str, launch: Launch, kind: str) -> tuple[str, tuple[str, ...]]:
        """(the agent's name, the phases). Asks a worker only when the launch does not say it."""
        options = launch.options
        if launch.agent is None and options.phases:
            return options.name or "agent", options.phases
        target = self._registered(launch.agent) if launch.agent is not None else None
        spec = self._specs.get(target) if target else None
        if spec is None:
            url = self.store.objects_url(owner)
            spec = await self._carrier.executors[kind].describe(owner, launch.runtime, target, launch.code, url)
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
