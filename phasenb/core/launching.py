"""What a launch asks for, as a policy and a plan. Pure: the options of a launch laid over the host's configuration."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pydantic import ValidationError

from phasenb.core.decisions import Plan
from phasenb.core.launch_check import check_named_phases, nearest
from phasenb.dto.launch import Launch
from phasenb.dto.policies import PhasePolicy, RecoveryPolicy, Rollback
from phasenb.errors import LaunchError


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
