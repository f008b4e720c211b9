"""What happens after a failed attempt: a pure function of (policy, failure, history).

Rules: no clock, no randomness of its own (the roll of the dice is an argument), no I/O. The order of the options is
retry, then abort; a rule for the exception's class comes before the phase's own policy.
"""

from __future__ import annotations

from dataclasses import dataclass

from phasenb.dto.phase_result import ErrorInfo
from phasenb.dto.policies import PhasePolicy, RecoveryPolicy, RetryPolicy, Rule


@dataclass(frozen=True, slots=True)
class Retry:
    """Run attempt ``attempt`` after ``delay_s`` seconds. ``maximum_attempts`` None means without limit."""

    attempt: int
    delay_s: float
    maximum_attempts: int | None


@dataclass(frozen=True, slots=True)
class Abort:
    """Give up: the task fails with the phase's error."""

    reason: str


Decision = Retry | Abort


def decide(policy: PhasePolicy, error: ErrorInfo, attempt: int, failures: int, roll: float) -> Decision:
    """What follows when ``attempt`` failed with ``error``, the ``failures``-th counted one (this one included).

    ``roll`` in 0..1 spreads the delay over ``1 - jitter .. 1 + jitter``.
    """
    rule = matching_rule(policy, error)
    retry = rule.retry if rule and rule.retry else policy.retry
    if rule and rule.action == "abort":
        return Abort(f"a rule for {rule.exception} says abort")
    if not error.retryable:
        return Abort("this error is not retryable")
    named = next((name for name in retry.non_retryable if matches(name, error)), None)
    if named:
        return Abort(f"{named} is non_retryable")
    if retry.maximum_attempts and failures >= retry.maximum_attempts:
        return Abort(f"all {retry.maximum_attempts} attempts are used")
    return Retry(attempt + 1, delay_before(retry, failures, error, roll), retry.maximum_attempts or None)


def delay_before(retry: RetryPolicy, failures: int, error: ErrorInfo, roll: float) -> float:
    """Seconds to wait after the ``failures``-th failure; an exception's own ``retry_after`` is a minimum."""
    # The exponent is bounded so that a policy without an attempt limit can't overflow a float.
    grown = retry.initial_interval * retry.backoff_coefficient ** min(failures - 1, 64)
    delay = min(grown, retry.maximum_interval) * (1 + retry.jitter * (2 * roll - 1))
    return max(delay, error.retry_after_s or 0.0)


def matching_rule(policy: PhasePolicy, error: ErrorInfo) -> Rule | None:
    """The first rule, in their order, whose exception is the error's class or one of its bases."""
    return next((rule for rule in policy.rules if matches(rule.exception, error)), None)


def matches(name: str, error: ErrorInfo) -> bool:
    """Whether a fully qualified class name (builtins with or without ``builtins.``) is the error's class or a base."""
    plain = name.removeprefix("builtins.")
    return plain == error.type or plain in error.bases


def without_effect(policy: RecoveryPolicy) -> list[str]:
    """Field paths of a policy that are valid, and that this release does not act on yet: people are told."""
    found = [f"{place}.{field}" for place, phase in _places(policy) for field in _unused_fields(phase)]
    return [*found, *(["thresholds"] if policy.thresholds else [])]


def _places(policy: RecoveryPolicy) -> list[tuple[str, PhasePolicy]]:
    return [("defaults", policy.defaults), *((f"phases.{name}", policy.for_phase(name)) for name in policy.phases)]


def _unused_fields(phase: PhasePolicy) -> list[str]:
    unused = [name for name in ("fallback", "rollback") if getattr(phase, name) is not None]
    unused += [f"timeouts.{name}" for name, value in phase.timeouts if value is not None]
    for index, rule in enumerate(phase.rules):
        if rule.fallback or rule.rollback or rule.action in ("fallback", "rollback"):
            unused.append(f"rules.{index}")
    return unused
