"""Carrier: takes one task after another through its attempts, over ports.

Rules:

* A decision (core.decisions) is made on the newest state, committed in one transaction, and only then told to anyone.
* One attempt of a task runs at a time; its slot stays with it from phase to phase and is given back before a wait.
* A task that another host took over is let go of at once: nothing that this host still does for it counts.
* A failure of ours ends the task with ``task_error``; no task is left without anyone to carry it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar, cast

from phasenb.core.attempts import Attempts, EngineLimits
from phasenb.core.decisions import Decision, counts
from phasenb.core.line import why_it_waits
from phasenb.core.live_task import Doubtful, LiveTask, Places
from phasenb.core.patience import Patience
from phasenb.core.plan import Ended, Plan, Running
from phasenb.core.ports import Clock, Executor, Publisher, Secrets, Slot, Store
from phasenb.core.thresholds import SessionFailures
from phasenb.core.waits import Waits
from phasenb.dto.events import Event, parse_event
from phasenb.dto.phase_result import ErrorInfo, ResultStatus
from phasenb.dto.task_state import State, TaskState
from phasenb.errors import Conflict, LeaseLost, PhasenbError, StoreUnavailable, WorkerLost
from phasenb.errors.base import counted
from phasenb.errors.shortage import named_shortage

log = logging.getLogger(__name__)
T = TypeVar("T")
_CONFLICTS = 20  # more refusals of one decision than other hosts can cause by chance
_QUESTIONS = 3  # to workers that die of it, one after the other
WAITING = (State.AWAITING_APPROVAL, State.PAUSED)
_STARTABLE = (State.QUEUED, State.RUNNING, State.RETRYING)


@dataclass(eq=False)
class Carrier:
    """The ports, and what carrying needs. ``roll`` gives 0..1 for jitter; ``agents``: name -> "module:attribute";
    ``traceparent``: see ports.Observer.
    """

    store: Store
    executors: Mapping[str, Executor]
    publisher: Publisher
    clock: Clock
    limits: EngineLimits
    agents: Mapping[str, str]
    roll: Callable[[], float]
    failures: SessionFailures
    traceparent: Callable[[str], str | None]
    secrets: Secrets
    places: dict[str, Places] = field(init=False)
    attempts: Attempts = field(init=False)
    patience: Patience = field(init=False)
    waits: Waits = field(default_factory=Waits)
    _giving: set[asyncio.Future[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        most = self.limits.running_tasks
        self.places = {
            kind: Places(min(executor.capacity, most) if most else executor.capacity)
            for kind, executor in self.executors.items()
        }
        self.patience = Patience(self.clock, self.publisher)
        self.attempts = Attempts(
            self.store, self.publisher, self.clock, self.limits, self.agents, self.traceparent, self.patience
        )

    async def carry(self, live: LiveTask) -> None:
        """Take a task to its end. Cancelling this coroutine lets go of the task as it is."""
        limited = live.plan.policy.defaults.timeouts.task is not None
        expiry = asyncio.create_task(self._expire(live)) if limited else None
        try:
            while not live.task.state.terminal:
                await self._step(live)
        except asyncio.CancelledError:
            if not live.task.state.terminal:
                raise
        except LeaseLost as error:
            log.warning("task %s: %s", live.task.task_id, error, extra=live.fields)
        except Exception as error:
            told = named_shortage(error)
            if not isinstance(told, PhasenbError):
                log.exception("task %s could not be carried on", live.task.task_id, extra=live.fields)
            await self._end_with(live, error_of(told))
        finally:
            if expiry is not None:
                expiry.cancel()

    async def _step(self, live: LiveTask) -> None:
        """Wait where the task has to, else run what can be run now."""
        live.wake.clear()
        state = live.task.state
        if live.give_up is not None:
            await self._end_with(live, live.give_up)
        elif state in WAITING:
            live.arrived()
            await live.wake.wait()
        elif state is State.RETRYING and (left := live.retry_in(self.clock.now(), self.clock.monotonic())) > 0:
            await self._woken_within(live, left)
        elif state is State.CANCELLING:
            await self.persist(live, lambda decision: decision.cancelled(live.cancelled_by))
        elif live.slot is None and await self._went_on(live):
            return
        else:
            await self._take_place(live)
            since = self.clock.monotonic()
            try:
                await self._run_phases(live)
            finally:
                slot, live.slot = live.slot, None
                lent, live.lent = live.lent, False
                if not lent:
                    self.places[live.executor].held_s.append(self.clock.monotonic() - since)
                await self.give_back(live.executor, slot, held=True, lent=lent)

    async def _went_on(self, live: LiveTask) -> bool:
        """Do what needs no worker: a gate, the end of a rollback that undoes nothing, what follows a retry that was
        given up.
        """
        if live.task.given_up is not None and not live.learned:
            await self._learn(live)
        seq = live.task.seq
        await self.persist(live, partial(_proceed, live, None))
        return live.task.seq != seq and live.task.state not in (State.QUEUED, State.RUNNING)

    async def _woken_within(self, live: LiveTask, seconds: float) -> None:
        waits = [asyncio.ensure_future(self.clock.sleep(seconds)), asyncio.ensure_future(live.wake.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _take_place(self, live: LiveTask) -> None:
        """A place for the task; at launch it may have it already, with its slot."""
        if live.slot is None:
            task_id, kind = live.task.task_id, live.executor
            lent = self.waits.lends(task_id, kind)
            priority = live.launch.options.priority
            live.arrived()
            live.lent = await self.places[kind].wait(live.owner, task_id, priority, lent=lent)

    async def _run_phases(self, live: LiveTask) -> None:
        """Run attempts in the task's slot until the task ends or has to wait."""
        while True:
            slot = await self._slot(live)
            if live.running is None:
                live.running = await self.persist(live, partial(_proceed, live, slot))
            running = live.running
            if running is None:
                return
            outcome = await self.attempts.run(live, slot, running)
            live.settling = True  # what came out of it must reach the log, even if the task's time is over now
            try:
                ended = Ended(running.phase, outcome, slot.worker, self.roll(), running.kind)
                if counts(outcome, live.history):
                    ended = await self._judged(live, ended)
                live.running = await self.persist(live, partial(_settle, live, ended, slot))
            finally:
                live.settling = False
            live.update = None
            if live.task.state is not State.RUNNING:
                return

    async def _slot(self, live: LiveTask) -> Slot:
        slot = live.slot
        if slot is None or not slot.alive:
            live.slot = None
            if slot is not None:
                await slot.release()
            launch = live.launch
            reserving = self.executors[live.executor].reserve(
                live.owner, launch.runtime, fresh=launch.options.fresh_worker
            )
            slot = live.slot = await reserving
        return slot

    async def _judged(self, live: LiveTask, ended: Ended) -> Ended:
        """What must be known before a failure is decided about: the session's failures, and the agent's functions."""
        policy, session = live.plan.policy, live.task.session
        if policy.thresholds:
            now = self.clock.now()
            found = await self.patience.until_done(
                live,
                lambda: self.failures.reached(live.owner, session, policy.thresholds, now, "abort", failing=True),
            )
            if found is not None:
                many = found.threshold
                times = counted(many.errors, "failure")
                told = f"Not tried again: {times} within {many.window:g} s in session {session}"
                return replace(ended, threshold=told)
        if not live.learned:
            await self._learn(live)
        return ended

    async def _learn(self, live: LiveTask) -> None:
        """Ask for the agent's fallbacks and compensations, at the first failure only. A task that is cancelled, or one
        whose time is over, does not wait for the answer: it may take as long as importing the agent does.
        """
        learning = asyncio.create_task(self._learned(live), name=f"describe {live.task.task_id}")
        try:
            while not learning.done() and live.task.state is not State.CANCELLING and live.give_up is None:
                live.wake.clear()
                woken = asyncio.ensure_future(live.wake.wait())
                await asyncio.wait((learning, woken), return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
            if learning.done():
                live.plan = learning.result()
                live.learned = live.plan.unknown is None
        finally:
            learning.cancel()

    async def _learned(self, live: LiveTask, questions: int = _QUESTIONS) -> Plan:
        """The plan with the agent's fallbacks and compensations."""
        launch, options, problem = live.launch, live.launch.options, ""
        target = self.agents.get(launch.agent) if launch.agent else None
        url = self.store.objects_url(live.owner)
        try:
            spec = await self.executors[live.executor].describe(
                live.owner, launch.runtime, target, launch.code, url, env=options.env, secrets=options.secrets
            )
        except WorkerLost as error:
            if questions > 1:
                return await self._learned(live, questions - 1)
            problem = str(error)
        except PhasenbError as error:
            problem = str(error)
        else:
            can_undo = frozenset(spec.compensations)
            return replace(live.plan, fallbacks=frozenset(spec.fallbacks), compensations=can_undo, unknown=None)
        log.info("task %s: %s", live.task.task_id, problem, extra=live.fields)
        return replace(live.plan, unknown=problem)

    async def _expire(self, live: LiveTask) -> None:
        """End the task when its own time is over; waiting for a person is not its own.

        The wall clock is believed only about the time before this host had the task.
        """
        limit = live.plan.policy.defaults.timeouts.task
        assert limit is not None  # asked by the caller
        before = live.history.active(self.clock.now()) - live.active_s(self.clock.monotonic())
        while (left := limit - before - live.active_s(self.clock.monotonic())) > 0:
            await self.clock.sleep(left if live.history.since is not None else max(left, 1.0))
        message = f"the task took more than {limit:g} s (timeouts.task)"
        live.give_up = ErrorInfo(type="phasenb.TaskTimeout", message=message, retryable=False)
        if live.run is not None:
            self.attempts.stop(live)
        elif live.settling:
            live.wake.set()
        else:
            await self._end_with(live, live.give_up)
            self.heed(live)

    def heed(self, live: LiveTask) -> None:
        """Have the carrier look at what a command, or another host, has changed."""
        live.wake.set()
        if live.run is not None:
            if live.task.state is State.CANCELLING:
                self.attempts.stop(live)
        elif live.carrier is not None and live.task.state.terminal:
            live.carrier.cancel()

    # --- commits ---------------------------------------------------------------------------------------------------

    async def commit(self, live: LiveTask, decide: Callable[[Decision], T], *, asked: bool = False) -> T:
        """Decide on the newest state, commit, then tell; what ``decide`` returned. Decides again when another host's
        event came first. ``asked``: by a person, who is refused only after a look at what other hosts appended.

        Raises LeaseLost, StoreUnavailable, and what ``decide`` raises.
        """
        async with live.lock:
            for _ in range(_CONFLICTS):
                doubtful = live.doubtful.get(decide)
                if doubtful is not None and doubtful.landed:
                    del live.doubtful[decide]
                    return cast("T", doubtful.decided)
                decision = Decision(live.task, self.clock.now(), live.history, live.plan)
                try:
                    decided = decide(decision)
                except PhasenbError:
                    if asked and await self.catch_up(live):
                        continue
                    raise
                if not decision.events:
                    if asked and await self.catch_up(live):
                        continue
                    return decided
                try:
                    await self.store.append(decision.append(live.owner, lease=live.lease))
                except Conflict:
                    await self.catch_up(live)
                    continue
                except StoreUnavailable:
                    if not asked:  # a person who asks again is another decision
                        live.doubtful[decide] = Doubtful(decided, decision.events[0].wire)
                    raise
                live.doubtful.pop(decide, None)
                live.take(decision)
                live.active_s(self.clock.monotonic())
                self.publisher.events(live.owner, decision.state, decision.events)
                return decided
            raise Conflict(live.task.task_id, "other hosts keep changing this task")

    async def persist(self, live: LiveTask, decide: Callable[[Decision], T]) -> T:
        """As ``commit``, but a store that is out of order is waited for."""
        return await self.patience.until_done(live, lambda: self.commit(live, decide))

    async def look(self, live: LiveTask) -> None:
        """Take up what other hosts appended."""
        async with live.lock:
            await self.catch_up(live)

    async def catch_up(self, live: LiveTask) -> Sequence[Event]:
        """Take up what other hosts appended to a task of this one. To be called under its lock."""
        found = [parse_event(text) for text in await self.store.events(live.task.task_id, live.task.seq, 10_000)]
        live.refold(found)
        live.active_s(self.clock.monotonic())
        for event in found:
            if event.type == "cancel_requested":
                live.cancelled_by = event.by
        if found:
            self.publisher.events(live.owner, live.task, found)
            self.heed(live)
        return found

    async def _end_with(self, live: LiveTask, error: ErrorInfo) -> None:
        """The error must reach the log: it is the only trace that this task ended."""
        try:
            await self.persist(live, partial(_abort, error))
        except LeaseLost as lost:
            log.warning("task %s: %s", live.task.task_id, lost, extra=live.fields)

    async def give_back(self, kind: str, slot: Slot | None, *, held: bool = False, lent: bool = False) -> None:
        if slot is not None:
            await slot.release()
        if (slot is not None or held) and not lent:
            self.places[kind].give_back()

    def give_back_soon(self, live: LiveTask) -> None:
        """The slot of a task whose carrier never came to run."""
        slot, live.slot = live.slot, None
        giving = asyncio.ensure_future(self.give_back(live.executor, slot))
        self._giving.add(giving)
        giving.add_done_callback(self._giving.discard)

    def forget_secrets(self, task: TaskState) -> None:
        """Once a task has ended, nobody keeps what its launcher gave."""
        if task.secrets and task.state.terminal:
            self.secrets.forget(task.task_id)

    def begin_wait(self, live: LiveTask, awaited: str) -> None:
        """A phase of ``live`` waits for a task from now on, which gets its place where it is in need of one."""
        self.waits.begin(live.task.task_id, live.executor, awaited)
        for task_id in self.waits.awaited:  # who waits for this one lends to what it waits for, too
            for kind, places in self.places.items():
                if self.waits.lends(task_id, kind):
                    places.lend(task_id)

    def end_wait(self, live: LiveTask, awaited: str) -> None:
        self.waits.end(live.task.task_id, live.executor, awaited)

    def queued(self, owner: str) -> int:
        """How many of an owner's tasks wait for a place in an executor, or are about to."""
        return sum(places.waiting(owner) for places in self.places.values())

    def waits_for(self, live: LiveTask) -> str:
        """Why it waits for a place, for people."""
        kind = live.executor
        return why_it_waits(kind, self.places[kind].capacity, self.executors[kind].capacity)


def error_of(error: Exception) -> ErrorInfo:
    """What ends a task that can't go on: an error of ours, or a defect of ours, of which only the log says more."""
    if isinstance(error, PhasenbError):
        return ErrorInfo(type=f"phasenb.{type(error).__name__}", message=str(error))
    return ErrorInfo(type="phasenb.InternalError", message=type(error).__name__)


def _abort(error: ErrorInfo, decision: Decision) -> None:
    if not decision.state.state.terminal:
        decision.abort(error)


def _proceed(live: LiveTask, slot: Slot | None, decision: Decision) -> Running | None:
    """What comes next, unless the task was paused, cancelled or ended meanwhile."""
    if decision.state.state not in _STARTABLE:
        return None
    return decision.proceed(slot.worker if slot is not None else None, live.values)


def _settle(live: LiveTask, ended: Ended, slot: Slot, decision: Decision) -> Running | None:
    """The end of an attempt and the start of the next, in one decision where the worker is still there."""
    decision.settle(ended, live.cancelled_by, live.give_up, host=live.host)
    if decision.state.state is not State.RUNNING:
        return None
    values = live.values
    if ended.kind == "phase" and ended.outcome.status is ResultStatus.COMPLETE:
        values = {**values, ended.phase.name: ended.outcome.output}
    return decision.proceed(slot.worker if slot.alive else None, values)
