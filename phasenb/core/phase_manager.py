"""PhaseManager: what a host can be asked about tasks: launch, steer, look. Carrying them is core.carrier's.

Rules: every method is called on the host's event loop; a command answers once its effect is durable; a task of another
owner does not exist here; a command for a task that another host carries is appended to its log, where that host
finds it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from phasenb.core.adoption import Adoption
from phasenb.core.attempts import EngineLimits
from phasenb.core.carrier import Carrier
from phasenb.core.decisions import Decision
from phasenb.core.folding import folded
from phasenb.core.gates import Answer, approval, denial
from phasenb.core.launch_check import check_going_on
from phasenb.core.launching import Launching
from phasenb.core.line import room_in_s
from phasenb.core.live_task import LiveTask, Places
from phasenb.core.live_tasks import LiveTasks, to_its_end
from phasenb.core.notebooks import Notebooks
from phasenb.core.observers import Observers
from phasenb.core.phase_options import with_new_code
from phasenb.core.ports import (
    NONE,
    Adopted,
    Appended,
    Clock,
    Executor,
    Observer,
    Publisher,
    Secrets,
    Store,
    StoredTask,
    Taking,
)
from phasenb.core.repeats import answered_alike, given_up_alike, retried_alike
from phasenb.core.secrets import NoSecrets, check_given, given_names, located
from phasenb.core.task_names import the_one
from phasenb.core.task_schema import SCHEMA, with_update
from phasenb.core.thresholds import SessionFailures
from phasenb.core.told import Told
from phasenb.dto.agent_spec import AgentSpec
from phasenb.dto.base import is_ulid, new_ulid
from phasenb.dto.events import Event, PhaseUpdate
from phasenb.dto.launch import AS_LAUNCHED, Launch, RecoveryOptions, Runtime
from phasenb.dto.policies import RecoveryPolicy
from phasenb.dto.task_state import Queue, TaskState
from phasenb.dto.values import Json
from phasenb.errors import Conflict, LaunchError, LaunchesPaused, LeaseLost, QueueFull, StoreUnavailable, UnknownTask

_CONFLICTS = 20


@dataclass(frozen=True, slots=True)
class Launched:
    """``duplicate``: the launch was known already, and ``task`` is what it made then."""

    task: TaskState
    duplicate: bool


class PhaseManager:
    """Owns the live tasks of one host, over ports (core.ports); ``agents``: registered name -> "module:attribute".

    ``host``: this host's id in leases. ``renew(lost id)`` gives it another where it was taken for dead (core.keeper).
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
        secrets: Secrets | None = None,
    ) -> None:
        self.store = store
        self.agents = dict(agents or {})
        self.host = host
        self.renew: Callable[[str], Awaitable[None]] = _give_up_host
        self.silent = (
            False  # it could not show that it lives, and gave up its tasks: what it takes now it gives away too
        )
        self.trouble: StoreUnavailable | None = None  # what kept the newest beat out of the store
        self._secrets = secrets or NoSecrets()
        self._failures = SessionFailures(store)
        self._launching = Launching(
            store, executors, clock, policy or RecoveryPolicy(), self.agents, default_executor, self._failures
        )
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
            self._secrets,
        )
        self._live = LiveTasks(self._carrier, told, self._observers, lambda: None if self.silent else self.host)
        self.notebooks = Notebooks(store, self._live)
        self._adoption = Adoption(self._carrier, self._launching, told, self._observers, self._live.carry)

    @property
    def running(self) -> int:
        """How many tasks this host carries now, waiting ones included."""
        return len(self._live)

    def carried(self, owner: str) -> int:
        """How many of them are an owner's."""
        return sum(live.owner == owner for live in self._live.values())

    @property
    def waiting(self) -> int:
        """How many of them wait for a person."""
        return self._live.waiting

    @property
    def queued(self) -> int:
        """How many of them wait for a place in an executor."""
        return sum(len(places.line) for places in self._carrier.places.values())

    @property
    def kinds(self) -> tuple[str, ...]:
        """The executors that this host offers."""
        return tuple(self._carrier.executors)

    @property
    def inline_bytes(self) -> int:
        """Up to how many bytes of JSON a value stands in the log itself; a larger one is an object."""
        return self._carrier.limits.output_inline_bytes

    # --- launching -------------------------------------------------------------------------------------------------

    async def launch(
        self, owner: str, session: str, launch: Launch, secret_values: Mapping[str, str] = NONE
    ) -> Launched:
        """Create a task; it is durable when this returns, and may run already. ``secret_values``: of the secrets that
        the launcher gives, which no store has.

        Raises LaunchError, UnknownAgent, RuntimeMismatch, QueueFull, LaunchesPaused, Conflict, StoreUnavailable.
        """
        check_given(given_names(launch.options), secret_values, all_of_them=True)
        task_id = new_ulid()
        with ExitStack() as undo:
            if secret_values:
                undo.callback(self._forget_secrets, task_id)
                await self._secrets.keep(task_id, secret_values)
            return await self._launch(owner, session, task_id, launch, undo)

    def _forget_secrets(self, task_id: str) -> None:
        if task_id not in self._live:  # somebody else's retry of it may have come first
            self._secrets.forget(task_id)

    async def _launch(self, owner: str, session: str, task_id: str, given: Launch, undo: ExitStack) -> Launched:
        """``undo`` is what a launch that makes no task takes back."""
        launch = located(given, task_id, self._secrets)
        kind = self._launching.executor_of(launch)
        mismatch = self._carrier.executors[kind].refusal(launch.runtime)
        if mismatch is not None and launch.code is not None:
            raise mismatch
        places = self._carrier.places[kind]
        policy = self._launching.policy_of(launch)
        try:
            await self._launching.admit(owner, session, policy)
            self._check_room(owner, places)
            arrived = places.enter(owner)
            undo.callback(arrived)
            decision, whole = await self._launching.created(owner, session, task_id, launch, kind, policy)
        except (LaunchesPaused, QueueFull, LaunchError):
            known = await self.store.launched(owner, session, given)  # asked again: nothing new is launched
            if known is None:
                raise
            return Launched(await self.snapshot(owner, known), duplicate=True)
        launch, given = whole, given.changed(phase_options=whole.phase_options)
        executor, fresh = self._carrier.executors[kind], launch.options.fresh_worker
        slot = executor.warm(owner, launch.runtime, fresh=fresh) if places.free else None
        if slot:
            places.take()
            arrived()
        running = decision.proceed(slot.worker if slot else None, launch.inputs)
        try:
            appended, gone = await to_its_end(self._take(decision, owner, given, kind))
        except BaseException:
            await self._carrier.give_back(kind, slot)
            raise
        if appended.duplicate:
            await self._carrier.give_back(kind, slot)
            return Launched(await self.snapshot(owner, appended.task_id), duplicate=True)
        undo.pop_all()
        state, plan, history = decision.state, decision.plan, decision.history
        live = LiveTask(owner, state, launch, plan, kind, history, dict(launch.inputs), appended.lease, slot=slot)
        live.running, live.arrived = running, arrived
        self._live.begin(live, decision.events)
        if gone:
            raise asyncio.CancelledError
        return Launched(decision.state, duplicate=False)

    def _check_room(self, owner: str, places: Places) -> None:
        """Raises QueueFull."""
        most = self._carrier.limits.queued_tasks
        if self._carrier.queued(owner) >= most:
            raise QueueFull(most, room_in_s(places.held_s, places.capacity, places.line.owners))

    async def agent_spec(self, owner: str, name: str) -> AgentSpec:
        """What a registered agent says of itself, with its inputs. Raises UnknownAgent, LaunchError, WorkerLost."""
        return await self._launching.spec_of(owner, name)

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

    async def resume(self, owner: str, task_id: str, by: str, secret_values: Mapping[str, str] = NONE) -> TaskState:
        """Go on after a pause. ``secret_values``: of secrets that the launcher gave, once more."""
        if secret_values:
            task = await self.snapshot(owner, task_id)
            check_given(task.secrets, secret_values, all_of_them=False)
            if not task.state.terminal:
                await self._secrets.keep(task.task_id, secret_values)
        return await self._command(owner, task_id, lambda decision: decision.resume(by))

    async def give_up(self, owner: str, task_id: str, by: str, if_seq: int | None = None) -> TaskState:
        """Don't make the attempt that a task waits for: what follows the last one (fallback, rollback, the task's end)
        follows now. With ``if_seq`` the same may be asked twice, and Conflict is raised where it is not the newest.
        """
        if if_seq is not None:
            task = await self.snapshot(owner, task_id)
            if await given_up_alike(self.store, task.task_id, if_seq):
                return task
        return await self._command(owner, task_id, lambda decision: decision.give_up(by, if_seq))

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
        """Open the gate that was asked for with event ``if_seq``; ``edit``: (value,) instead of the last output. The
        same answer may come twice.

        Raises Conflict where the gate has moved on, BadMessage for an edit before the first phase.
        """
        return await self._answer(owner, task_id, approval(by, phase, if_seq, note, edit))

    async def deny(
        self, owner: str, task_id: str, by: str, phase: str, if_seq: int, reason: str, redo: str | None = None
    ) -> TaskState:
        """Keep the gate shut: the task ends, or runs ``redo`` again. Raises Conflict, LaunchError (no such phase)."""
        return await self._answer(owner, task_id, denial(by, phase, if_seq, reason, redo))

    async def retry(
        self,
        owner: str,
        task_id: str,
        by: str,
        from_phase: str | None = None,
        if_seq: int | None = None,
        code: Json = None,
        runtime: Runtime | None = None,
        source: Mapping[str, str] = NONE,
        secret_values: Mapping[str, str] = NONE,
        options: RecoveryOptions = AS_LAUNCHED,
    ) -> TaskState:
        """Run a task that failed or was cancelled again, here: finished phases before ``from_phase`` stay.

        ``code``, with its ``source`` and what its phases say of themselves, ``runtime`` and what ``options`` say
        replace the launch's; ``secret_values`` are what is known of the secrets that its launcher gave, which were
        forgotten when it ended. Raises IllegalTransition (it has not ended, or is complete), Conflict (``if_seq`` is
        not the newest), LaunchError (as for code that lacks a phase still to run). With ``if_seq`` the same may be
        asked twice.
        """
        stored = await self._stored(owner, task_id)
        task_id = stored.task.task_id
        if if_seq is not None and await retried_alike(self.store, task_id, if_seq, from_phase):
            return await self.snapshot(owner, task_id)
        if not stored.task.state.terminal:
            raise SCHEMA.refusal(stored.task, "task_retried", "it has not ended")
        check_given(stored.task.secrets, secret_values, all_of_them=False)
        live = self._live.get(task_id)
        if live is not None:
            await self._carrier.look(live)
            await live.ended.wait()  # it has ended, and lets go of its worker
        with ExitStack() as undo:
            if secret_values:
                undo.callback(self._forget_secrets, task_id)
                await self._secrets.keep(task_id, secret_values)
            return await self._retry(stored, by, from_phase, if_seq, code, runtime, source, options, undo)

    async def _retry(
        self,
        stored: StoredTask,
        by: str,
        from_phase: str | None,
        if_seq: int | None,
        code: Json,
        runtime: Runtime | None,
        source: Mapping[str, str],
        options: RecoveryOptions,
        undo: ExitStack,
    ) -> TaskState:
        owner, task_id = stored.owner, stored.task.task_id
        given = await self.store.launch(task_id)
        kind = self._launching.executor_of(given)
        if code is not None:
            given = given.changed(agent=None, code=code, source=dict(source))
        if runtime is not None:
            given = given.changed(runtime=runtime)
        said = {name: value for name, value in options if value is not None}
        changed = code is not None or runtime is not None or bool(said)
        found = await folded(self.store, task_id)
        state, history = found.task.changed(notebook=stored.task.notebook), found.history
        if if_seq is not None and if_seq != state.seq:
            raise Conflict(task_id, f"it is at event {state.seq} now, not at {if_seq}")
        spec = None
        if code is not None:
            spec = await self._launching.spec_of_code(owner, located(given, task_id, self._secrets), kind)
            given = with_new_code(given, spec, history.phases)
        given = given.changed(options=given.options.changed(**said))
        launch = located(given, task_id, self._secrets)
        plan = self._launching.stored_plan(launch, history.phases)
        decision = Decision(state, self._carrier.clock.now(), history, plan)
        start = decision.retry(by, from_phase, code)
        if spec is not None:
            check_going_on(spec, history.phases, start, launch.inputs)
        undo.pop_all()  # whoever retries it at the same moment may need them
        appended, gone = await to_its_end(self._take(decision, owner, given if changed else None, kind))
        live = LiveTask(owner, state, launch, plan, kind, history, found.values, appended.lease)
        live.take(decision)
        self._live.begin(live, decision.events, found)
        if gone:
            raise asyncio.CancelledError
        return decision.state

    async def _answer(self, owner: str, task_id: str, answer: Answer) -> TaskState:
        try:
            return await self._command(owner, task_id, answer.decide)
        except Conflict:
            task = await self.snapshot(owner, task_id)
            if not await answered_alike(self.store, task.task_id, answer):
                raise
            return task

    async def _take(self, decision: Decision, owner: str, launch: Launch | None, kind: str) -> Appended:
        """Append a decision that makes the task this host's."""
        host = self.host
        try:
            return await self.store.append(decision.append(owner, launch, take=Taking(host, kind)))
        except LeaseLost:
            # This host was frozen, and is forgotten: what it takes under its old name nobody would ever adopt.
            await self.renew(host)
        return await self.store.append(decision.append(owner, launch, take=Taking(self.host, kind)))

    async def _command(self, owner: str, task_id: str, decide: Callable[[Decision], None]) -> TaskState:
        """Append what a person asks for, and heed it: also where they are gone by then, since it is in the store."""
        state, gone = await to_its_end(self._commanded(owner, task_id, decide))
        if gone:
            raise asyncio.CancelledError
        return state

    async def _commanded(self, owner: str, task_id: str, decide: Callable[[Decision], None]) -> TaskState:
        """To a task of this host or of another."""
        for _ in range(_CONFLICTS):
            live = self._live.get(task_id)
            if live is None:
                stored = await self._stored(owner, task_id)
                live = self._live.get(stored.task.task_id)
            if live is not None:
                if live.owner != owner:
                    raise UnknownTask(task_id)
                try:
                    await self._carrier.commit(live, decide, asked=True)
                except LeaseLost:
                    await self._live.drop(live)  # another host's by now, where it can be steered from here
                    continue
                self._carrier.heed(live)
                return self.with_progress(live.task)
            found = await folded(self.store, stored.task.task_id)
            known = found.task.changed(notebook=stored.task.notebook)
            decision = Decision(known, self._carrier.clock.now(), found.history)
            decide(decision)
            if not decision.events:
                return decision.state
            try:
                await self.store.append(decision.append(owner))
            except Conflict:
                continue  # its host was quicker: decide on what is true now
            self._carrier.forget_secrets(decision.state)
            self._told.events(owner, decision.state, [*found.events, *decision.events], carried=False)
            return decision.state
        raise Conflict(task_id, "other hosts keep changing this task")

    # --- tasks inside tasks ----------------------------------------------------------------------------------------

    def waits(self, task_id: str, awaited: str) -> None:
        """A phase of a task of this host waits for another task, and lends it its place."""
        live = self._live.get(task_id)
        if live is not None:
            self._carrier.begin_wait(live, awaited)

    def goes_on(self, task_id: str, awaited: str) -> None:
        """It does no more. For a task that this host has let go of meanwhile there is nothing to do."""
        live = self._live.get(task_id)
        if live is not None:
            self._carrier.end_wait(live, awaited)

    # --- looking ---------------------------------------------------------------------------------------------------

    async def resolve(self, owner: str, text: str, *, session: str | None = None, changes: bool = False) -> str:
        """The id of the task that a person means by its id, its name, or the end of its id (core.task_names).

        ``changes``: for a command that changes it. Raises UnknownTask, AmbiguousTask, StoreUnavailable.
        """
        if is_ulid(text):
            return text
        found = await self.store.matching(owner, text, session=session)
        return the_one(text, found, session=session, changes=changes).task_id

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
        position = self._carrier.places[live.executor].line.position(task.task_id)
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
        """Take up a task that another host left behind, after its last committed phase; later, if the store can't be
        read now; one that can't be taken up at all ends with the reason. Raises nothing of that.
        """
        await self._adoption.adopt(adopted)

    async def follow(self, owner: str, task_id: str, events: list[Event]) -> None:
        """What another host appended: to a task of this host, which it must heed, or to one to be told of only."""
        live = self._live.get(task_id)
        if live is not None and events[-1].seq > live.task.seq:
            await self._carrier.look(live)
        elif self._told.untold(events):
            stored = await self.store.find(task_id)
            if stored is not None:
                self._told.events(owner, stored.task, events, carried=False)

    def told(self, task_id: str) -> int:
        """The seq of the newest event of a task that this host has told of; 0 where none was."""
        return self._told.last(task_id)

    async def let_go(self, host: str | None = None) -> None:
        """Stop carrying every task at once, as it is, or those that are ``host``'s: they are others' now, or soon."""
        await self._adoption.let_go()
        await self._live.drop(*(live for live in self._live.values() if host in (None, live.host)))

    async def stop(self) -> None:
        """Let go of every task as it is: attempts are ended by force, the log keeps what was reported."""
        await self.let_go()
        await self._carrier.attempts.settled()

    # --- helpers ---------------------------------------------------------------------------------------------------

    async def _stored(self, owner: str, task_id: str) -> StoredTask:
        stored = await self.store.find(task_id, owner=owner)
        if stored is None or stored.owner != owner:
            raise UnknownTask(task_id)
        return stored


async def _give_up_host(host: str) -> None:
    """What a manager without a keeper can do for a host that is forgotten."""
    raise LeaseLost(host)
