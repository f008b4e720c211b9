"""What a launch asks for: which executor runs it, by which policy and plan, what its agent says of itself.

``policy_of`` and ``plan_of`` are pure: the options of a launch laid over the host's configuration. Launching asks ports
where the launch does not say it all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from phasenb.core.launch_check import check_launch, check_named_phases, nearest
from phasenb.core.plan import Plan
from phasenb.core.ports import Clock, Executor, Store
from phasenb.core.thresholds import SessionFailures
from phasenb.dto.agent_spec import AgentSpec
from phasenb.dto.base import format_time
from phasenb.dto.launch import Launch, Runtime
from phasenb.dto.policies import PhasePolicy, RecoveryPolicy, Rollback
from phasenb.errors import LaunchError, LaunchesPaused, QueueFull, UnknownAgent

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
        own = [name for name in ("env", "secrets") if getattr(launch.options, name)]
        if own and not self.executors[kind].sets_variables:
            raise LaunchError(
                f"the option `{own[0]}` needs executor='process': with {kind!r} phases run in the launcher's own "
                "process, whose variables they share",
                argument=own[0],
            )
        return kind

    def policy_of(self, launch: Launch) -> RecoveryPolicy:
        return policy_of(launch, self.policy, self.agents)

    def plan_of(self, launch: Launch, phases: tuple[str, ...]) -> Plan:
        return plan_of(launch, self.policy_of(launch), phases)

    async def admit(self, owner: str, session: str, policy: RecoveryPolicy, waiting: int, most: int) -> None:
        """Raises LaunchesPaused while the session's failures are too many, QueueFull where as many of its tasks as
        ``most`` wait.
        """
        now = self.clock.now()
        found = await self.failures.reached(owner, session, policy.thresholds, now, "pause_launches")
        if found is not None:
            threshold = found.threshold
            raise LaunchesPaused(session, threshold.errors, threshold.window, format_time(found.until))
        if waiting >= most:
            raise QueueFull(most)

    async def described(self, owner: str, launch: Launch, kind: str) -> tuple[str, tuple[str, ...]]:
        """(the agent's name, the phases). Asks a worker only when the launch does not say it."""
        options = launch.options
        if launch.agent is None and options.phases:
            return options.name or "agent", options.phases
        spec = await self._spec(owner, launch, kind)
        check_launch(spec, launch.inputs)
        if options.phases and options.phases != spec.phases:
            raise LaunchError(f"agent {spec.name!r} has the phases {', '.join(spec.phases)}", argument="phases")
        return launch.agent or spec.name, spec.phases

    async def spec_of(self, owner: str, name: str) -> AgentSpec:
        """What a registered agent says of itself. Raises UnknownAgent, LaunchError, WorkerLost."""
        return await self._spec(owner, Launch(agent=name), self.kind)

    async def _spec(self, owner: str, launch: Launch, kind: str) -> AgentSpec:
        options = launch.options
        target = self._registered(launch.agent) if launch.agent is not None else None
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
        try:
            return self.agents[name]
        except KeyError:
            raise UnknownAgent(name, sorted(self.agents)) from None


def policy_of(launch: Launch, base: RecoveryPolicy, agents: Collection[str]) -> RecoveryPolicy:
    """The policy that holds for a launch: ``recovery`` over the host's, ``timeouts`` over both. Raises LaunchError."""
    options = launch.options
    policy = base
    if options.recovery is not None:
        try:
            policy = base.overridden(options.recovery)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            path = ".".join(str(part) for part in first["loc"])
            raise LaunchError(
                f"the option `recovery` is not valid at {path}: {first['msg']}", argument="recovery"
            ) from None
        _check_fallbacks(policy, agents)
    if options.timeouts is not None:
        said = options.timeouts.model_dump(exclude_none=True)
        policy = policy.overridden({"defaults": {"timeouts": said}})
    return policy


def plan_of(launch: Launch, policy: RecoveryPolicy, phases: tuple[str, ...]) -> Plan:
    """Raises LaunchError where the options name a phase that there is not."""
    options = launch.options
    check_named_phases("approve_before", options.approve_before, phases)
    if options.recovery is not None:
        # Only what the launch itself says: the host's file may name phases of other agents.
        own = RecoveryPolicy().overridden(options.recovery)
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


def _check_fallbacks(policy: RecoveryPolicy, agents: Collection[str]) -> None:
    for name in _fallbacks(policy):
        # "module:attribute" is looked for where the attempt runs; a plain name is one that this host knows.
        if name not in agents and ":" not in name:
            known = f"it knows {', '.join(sorted(agents))}" if agents else "it knows none"
            raise LaunchError(
                f"the option `recovery` names the fallback {name!r}, an agent that this host does not know ({known})",
                argument="recovery",
                nearest=nearest(name, agents),
            )


def _fallbacks(policy: RecoveryPolicy) -> Iterator[str]:
    for phase in (policy.defaults, *(policy.for_phase(name) for name in policy.phases)):
        found = (phase.fallback, *(rule.fallback for rule in phase.rules))
        yield from (name for name in found if name is not None)
