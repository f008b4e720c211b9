"""What a launch asks for: which executor runs it, by which policy and plan, what its agent says of itself.

``policy_of`` and ``plan_of`` are pure: the options of a launch laid over the host's configuration. Launching asks ports
where the launch does not say it all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from phasenb.core.decisions import Decision
from phasenb.core.launch_check import check_launch, check_named_phases
from phasenb.core.phase_options import phase_options
from phasenb.core.plan import Plan
from phasenb.core.policy_check import Named, Problem, dead_rule, fallbacks, limit_of_nothing, unknown_fallback
from phasenb.core.ports import Clock, Executor, Store
from phasenb.core.thresholds import SessionFailures
from phasenb.dto.agent_spec import AgentSpec
from phasenb.dto.base import format_time
from phasenb.dto.bounds import STORED, Reading
from phasenb.dto.launch import NO_SECRETS, Launch, Runtime
from phasenb.dto.policies import PhasePolicy, RecoveryPolicy, Rollback
from phasenb.dto.problems import problems
from phasenb.errors import LaunchError, LaunchesPaused, SecretUnavailable, UnknownAgent, WorkerLost

T = TypeVar("T")
_SPEC_KEPT_S = 10.0  # what a registered agent says of itself: an agent may be edited or upgraded at any time


@dataclass(eq=False)
class Launching:
    """What one host offers to launches. ``agents``: registered name -> "module:attribute"; ``kind``: the executor of a
    launch that names none.
    """

    store: Store
    executors: Mapping[str, Executor]
    clock: Clock
    policy: RecoveryPolicy
    agents: Mapping[str, str]
    kind: str
    failures: SessionFailures
    _specs: dict[tuple[str, str, Runtime | None], tuple[AgentSpec, float]] = field(default_factory=dict)

    def executor_of(self, launch: Launch) -> str:
        """Raises LaunchError where this host has no such executor, or it can't do what the options ask for."""
        kind = launch.options.executor or self.kind
        if kind not in self.executors:
            offered = ", ".join(self.executors)
            raise LaunchError(
                f"executor {kind!r} is not offered by this host (it offers: {offered})", argument="executor"
            )
        own = [name for name in ("env", "secrets", "fresh_worker") if getattr(launch.options, name)]
        if own and not self.executors[kind].sets_variables:
            raise LaunchError(
                f"the option `{own[0]}` needs executor='process': with {kind!r} phases run in the launcher's own "
                "process, and share its variables",
                argument=own[0],
            )
        return kind

    def policy_of(self, launch: Launch) -> RecoveryPolicy:
        return policy_of(launch, self.policy, self.agents)

    def stored_plan(self, launch: Launch, phases: tuple[str, ...]) -> Plan:
        """Of a launch of the store, which was taken once under the bounds of its day."""
        policy = policy_of(launch, self.policy, self.agents, STORED)
        return plan_of(launch, policy, phases, STORED)

    async def check_options(
        self, owner: str, launch: Launch, kind: str, policy: RecoveryPolicy, phases: tuple[str, ...]
    ) -> None:
        """Raises LaunchError where what the launch itself says of recovery could not be done when it is needed, and
        for a secret that would break the phases' process. Not asked of a task that is there: it goes on as it is.

        Workers are asked only where it matters: what an agent that is named as fallback says of itself, and, where a
        rule asks for a fallback that no policy names, whether the workflow has its own.
        """
        needed = sorted(NO_SECRETS & launch.options.secrets.keys())
        if needed:
            told = (
                f"the option `secrets` names {needed[0]}, which is what a phase's process needs to run: set it by `env`"
            )
            raise LaunchError(told, argument="secrets")
        said = own_policy(launch)
        timeless = limit_of_nothing(policy)
        if timeless is not None:
            raise _cannot_work(timeless)
        if launch.options.recovery is None:
            return
        dead = dead_rule(said, policy, phases, lambda phase: False)
        if dead is not None:
            spec = await self._spec(owner, launch, kind)
            dead = dead_rule(said, policy, phases, lambda phase: phase in spec.fallbacks)
        if dead is not None:
            raise _cannot_work(dead)
        for named in fallbacks(said, phases):
            await self._check_fallback(owner, launch, kind, named)

    async def _check_fallback(self, owner: str, launch: Launch, kind: str, named: Named) -> None:
        try:
            target = self.agents.get(named.agent, named.agent)
            spec = await self._spec(owner, launch.changed(agent=named.agent, code=None), kind, target)
        except (SecretUnavailable, WorkerLost):
            return  # nobody can tell now: the task is not kept from its start
        except LaunchError as error:
            raise _cannot_work(Problem(named.path, f"the fallback {named.agent!r} can't be had: {error}")) from None
        if not set(spec.phases) & set(named.phases):
            asked, has = ", ".join(named.phases), ", ".join(spec.phases)
            told = f"the fallback {named.agent!r} does not have the phase it is for ({asked}): it has {has}"
            raise _cannot_work(Problem(named.path, told))

    async def spec_of_code(self, owner: str, launch: Launch, kind: str) -> AgentSpec:
        """What a launch's code says of itself. Raises what a worker raises that can't take the code."""
        return await self._spec(owner, launch, kind)

    async def admit(self, owner: str, session: str, policy: RecoveryPolicy) -> None:
        """Raises LaunchesPaused while the session's failures are too many."""
        now = self.clock.now()
        found = await self.failures.reached(owner, session, policy.thresholds, now, "pause_launches")
        if found is not None:
            threshold = found.threshold
            raise LaunchesPaused(session, threshold.errors, threshold.window, format_time(found.until))

    async def created(
        self, owner: str, session: str, task_id: str, launch: Launch, kind: str, policy: RecoveryPolicy
    ) -> tuple[Decision, Launch]:
        """(the first decision about a new task, the launch with what its agent brings itself). Raises UnknownAgent,
        LaunchError where it can't be done.
        """
        agent, phases, given = await self.described(owner, launch, kind)
        if given != launch:
            launch, policy = given, self.policy_of(given)
        plan = plan_of(launch, policy, phases)
        await self.check_options(owner, launch, kind, policy, phases)
        decision = Decision(None, self.clock.now(), plan=plan, task_id=task_id, session=session)
        decision.create(launch, agent, phases)
        return decision, launch

    async def described(self, owner: str, launch: Launch, kind: str) -> tuple[str, tuple[str, ...], Launch]:
        """(the agent's name, the phases, the launch with the phases' own options). Asks a worker only when the launch
        does not say it: one that names the phases of its code has their options too.
        """
        options = launch.options
        if launch.agent is None and options.phases:
            return options.agent or options.name or "agent", options.phases, launch
        spec = await self._spec(owner, launch, kind)
        check_launch(spec, launch.inputs)
        if options.phases and options.phases != spec.phases:
            raise LaunchError(f"agent {spec.name!r} has the phases {', '.join(spec.phases)}", argument="phases")
        return launch.agent or spec.name, spec.phases, launch.changed(phase_options=phase_options(spec))

    async def spec_of(self, owner: str, name: str) -> AgentSpec:
        """What a registered agent says of itself. Raises UnknownAgent, LaunchError, WorkerLost."""
        return await self._spec(owner, Launch(agent=name), self.kind)

    async def _spec(self, owner: str, launch: Launch, kind: str, target: str | None = None) -> AgentSpec:
        """``target``: "module:attribute" of an agent that is not the launch's own."""
        options = launch.options
        if target is None and launch.agent is not None:
            target = self._registered(launch.agent)
        key = (owner, target, launch.runtime) if target else None
        now = self.clock.monotonic()
        self._specs = {each: kept for each, kept in self._specs.items() if now - kept[1] < _SPEC_KEPT_S}
        if key is not None and key in self._specs:
            return self._specs[key][0]
        url = self.store.objects_url(owner)
        spec = await self.executors[kind].describe(
            owner, launch.runtime, target, launch.code, url, env=options.env, secrets=options.secrets
        )
        if key is not None:
            self._specs[key] = spec, now
        return spec

    def _registered(self, name: str) -> str:
        """The names are a list of what may run without the permission to run code: nothing else is one."""
        if name not in self.agents:
            raise UnknownAgent(name, sorted(self.agents))
        return self.agents[name]


def policy_of(launch: Launch, base: RecoveryPolicy, agents: Collection[str], context: Reading = None) -> RecoveryPolicy:
    """The policy that holds for a launch: ``recovery`` over the host's, then ``timeouts``, ``retry`` and
    ``timeout`` over both. Raises LaunchError.
    """
    options = launch.options
    policy = base
    if options.recovery is not None:
        try:
            policy = base.overridden(options.recovery, context)
        except ValidationError as error:
            first = problems(error, RecoveryPolicy, options.recovery)[0]
            raise LaunchError(f"the option `recovery` is not valid at {first}", argument="recovery") from None
        unknown = unknown_fallback(policy, agents)
        if unknown is not None:
            raise _cannot_work(unknown)
    if options.timeouts is not None:
        timeouts = options.timeouts.model_dump(exclude_none=True)
        policy = policy.overridden({"defaults": {"timeouts": timeouts}}, context)
    said = launch.recovery_options
    policy = _for_phases(policy, said.retry, lambda most: {"retry": {"maximum_attempts": most}}, context)
    return _for_phases(policy, said.timeout, lambda seconds: {"timeouts": {"attempt": seconds}}, context)


def _for_phases(
    policy: RecoveryPolicy,
    said: T | Mapping[str, T] | None,
    field_of: Callable[[T], dict[str, Any]],
    context: Reading,
) -> RecoveryPolicy:
    """``said``: one value for all phases, whatever the policy says of some of them, or one for each phase named."""
    if said is None:
        return policy
    if isinstance(said, Mapping):
        return policy.overridden({"phases": {name: field_of(value) for name, value in said.items()}}, context)
    of_all = {"defaults": field_of(said), "phases": {name: field_of(said) for name in policy.phases}}
    return policy.overridden(of_all, context)


def own_policy(launch: Launch, context: Reading = None) -> RecoveryPolicy:
    """What the launch itself says: the host's file may speak of phases of other agents."""
    return RecoveryPolicy().overridden(launch.options.recovery or {}, context)


def _cannot_work(problem: Problem) -> LaunchError:
    where = ".".join(problem.path)
    return LaunchError(f"the policy of recovery can't work at {where}: {problem.told}", argument="recovery")


def plan_of(launch: Launch, policy: RecoveryPolicy, phases: tuple[str, ...], context: Reading = None) -> Plan:
    """Raises LaunchError where the options name a phase that there is not."""
    options = launch.options
    check_named_phases("approve_before", options.approve_before, phases)
    for name in ("retry", "timeout"):
        said = getattr(options, name)
        check_named_phases(name, said if isinstance(said, Mapping) else (), phases)
    if options.recovery is not None:
        own = own_policy(launch, context)
        check_named_phases("recovery", own.phases, phases)
        _check_rollbacks(own, phases)
    return Plan(policy, options.approve_before)


def _check_rollbacks(policy: RecoveryPolicy, phases: tuple[str, ...]) -> None:
    check_named_phases("recovery", (rollback.to for rollback in _rollbacks(policy.defaults)), phases)
    for name in policy.phases:
        before = phases[: phases.index(name)]
        for rollback in _rollbacks(policy.for_phase(name)):
            check_named_phases("recovery", [rollback.to], phases)
            if rollback.to not in before and rollback not in _rollbacks(policy.defaults):
                raise LaunchError(
                    f"the option `recovery` rolls {name} back to {rollback.to}, which does not come before it "
                    f"(those are: {', '.join(before) or 'none'})",
                    argument="recovery",
                )


def _rollbacks(policy: PhasePolicy) -> list[Rollback]:
    found = (policy.rollback, *(rule.rollback for rule in policy.rules))
    return [rollback for rollback in found if rollback is not None]
