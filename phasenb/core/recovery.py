"""What happens after a failed attempt: a pure function of (policy, failure, history).

Rules: no clock, no randomness of its own (the roll of the dice is an argument), no I/O. The order of the options is
retry, fallback, rollback, abort; a rule for the exception's class comes before the phase's own policy, and its
``action`` leaves no other option.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from phasenb.dto.phase_result import ErrorInfo
from phasenb.dto.policies import ANY, LONGEST_S, TRANSIENT, PhasePolicy, RetryPolicy, Rollback, Rule, Threshold

# What may pass by itself, and so is transient everywhere; the classes of libraries are in error_recovery.yaml.
TRANSIENT_CLASSES = (
    "ConnectionError",
    "TimeoutError",
    "phasenb.WorkerLost",
    "phasenb.HostLost",
    "phasenb.UnknownFailure",
)
# TimeoutErrors and lost workers, by their bases: but the same code with the same data takes as long, and needs as much.
NEVER_TRANSIENT = ("phasenb.AttemptTimeout", "phasenb.HeartbeatTimeout", "phasenb.OutOfMemory")
# RFC 9110, section 15, and RFC 6585: timeouts, too many requests, and servers that are out of order or overloaded.
TRANSIENT_STATUS = frozenset({408, 429, 500, 502, 503, 504})
# How often a host may be frozen during one phase before policies count it: a phase that brings that about (one that
# needs more memory than there is, so that all is swapped out) would run for ever.
FREEZES = 10
LONGEST_RETRY_AFTER_S = 86_400.0  # a day: a server that asks for more is asked once a day


@dataclass(frozen=True, slots=True)
class Retry:
    """Run attempt ``attempt`` after ``delay_s`` seconds. ``maximum_attempts`` None means without limit."""

    attempt: int
    delay_s: float
    maximum_attempts: int | None


@dataclass(frozen=True, slots=True)
class Fallback:
    """Run ``agent`` in the phase's place, from now on."""

    agent: str


@dataclass(frozen=True, slots=True)
class RollBack:
    """Undo what was done since ``to`` was about to start, and go on there."""

    to: str


@dataclass(frozen=True, slots=True)
class Abort:
    """Give up: the task fails with the phase's error."""

    reason: str


Verdict = Retry | Fallback | RollBack | Abort
OWN = "own"  # the name of a workflow's own fallback function, where no policy names another agent


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt and what came before it.

    ``failures`` counts this one too; ``roll`` in 0..1 spreads the delay over ``1 - jitter .. 1 + jitter``;
    ``own_fallback``: the agent has a fallback function for the phase; ``fallback_runs``: this attempt was a fallback's
    already; ``rollbacks`` of this phase so far; ``before`` are the names of the phases before it.
    """

    error: ErrorInfo
    attempt: int
    failures: int
    roll: float = 0.5
    own_fallback: bool = False
    fallback_runs: bool = False
    rollbacks: int = 0
    before: tuple[str, ...] = ()


def decide(policy: PhasePolicy, failure: Failure, *, given_up: bool = False) -> Verdict:
    """What follows a failed attempt. ``given_up``: a person wants no further attempt of it."""
    rule = matching_rule(policy, failure.error)
    action = rule.action if rule else None
    if rule is not None and action == "abort":
        return Abort(f"a rule for {rule.exception} says abort")
    refused = "another option is asked for"
    if action in (None, "retry"):
        verdict = Abort("its retry was given up") if given_up else _retry(policy, rule, failure)
        if isinstance(verdict, Retry):
            return verdict
        refused = verdict.reason
    if action in (None, "fallback") and not failure.fallback_runs:
        agent = fallback_of(policy, rule, own=failure.own_fallback)
        if agent is not None:
            return Fallback(agent)
    if action in (None, "rollback"):
        rollback = rollback_of(policy, rule)
        if rollback is not None and _may_roll_back(rollback, failure):
            return RollBack(rollback.to)
    return Abort(refused if action in (None, "retry") else f"there is no {action} left")


def decide_undo(policy: PhasePolicy, failure: Failure) -> Retry | Abort:
    """What follows a failed compensation: it is tried again, or its phase stays as it is."""
    return _retry(policy, matching_rule(policy, failure.error), failure)


def _retry(policy: PhasePolicy, rule: Rule | None, failure: Failure) -> Retry | Abort:
    retry = policy.retry.overlaid(rule.retry) if rule and rule.retry else policy.retry
    error = failure.error
    if not error.retryable:
        return Abort("this error is not retryable")
    by_rule = rule is not None and (rule.retry is not None or rule.action == "retry")
    if not by_rule:  # a rule knows better than the list
        named = next((name for name in retry.non_retryable if matches(name, error)), None)
        if named:
            return Abort(f"{named} is non_retryable")
    chosen = rule is not None and rule.retry is not None and "retryable" in rule.retry.model_fields_set
    if (chosen or not by_rule) and not retries(retry, error):
        return Abort(f"{error.type} is not retryable: it is none of {_listed(retry.retryable)}")
    if retry.maximum_attempts and failure.failures >= retry.maximum_attempts:
        return Abort(f"all {retry.maximum_attempts} attempts are used")
    delay_s = delay_before(retry, failure.failures, error, failure.roll)
    # Attempt numbers of the task go on; the policy's count starts anew after a rollback or a fallback.
    most = failure.attempt - failure.failures + retry.maximum_attempts if retry.maximum_attempts else None
    return Retry(failure.attempt + 1, delay_s, most)


def retries(retry: RetryPolicy, error: ErrorInfo) -> bool:
    """Whether ``retryable`` says that an error of this kind is tried again."""
    if retry.retryable == ANY:
        return True
    names = (TRANSIENT,) if retry.retryable == TRANSIENT else retry.retryable
    if any(matches(name, error) for name in names):
        return True
    return TRANSIENT in names and is_transient(error, retry.transient)


def is_transient(error: ErrorInfo, classes: Sequence[str] = ()) -> bool:
    """Whether an error may be gone the next time: by its class, or by what a server said with it.

    ``classes`` are those that count beside TRANSIENT_CLASSES. Only the error itself counts, not its causes.
    """
    if any(matches(name, error) for name in NEVER_TRANSIENT):
        return False
    if error.retry_after_s is not None or error.http_status in TRANSIENT_STATUS:
        return True
    if error.http_status is not None and 400 <= error.http_status < 500:
        return False  # the request itself was refused, though its class may be one of a connection's
    return any(matches(name, error) for name in (*TRANSIENT_CLASSES, *classes))


def _listed(retryable: str | Sequence[str]) -> str:
    return f"the {TRANSIENT} errors" if retryable == TRANSIENT else ", ".join(retryable)


def fallback_of(policy: PhasePolicy, rule: Rule | None, *, own: bool) -> str | None:
    """The agent that a failure falls back to. ``own``: the workflow has a function for that, which runs unless the
    rule or the policy says null.
    """
    said = next((each for each in (rule, policy) if each is not None and "fallback" in each.model_fields_set), None)
    return said.fallback if said is not None else (OWN if own else None)


def rollback_of(policy: PhasePolicy, rule: Rule | None) -> Rollback | None:
    """Where a failure rolls back to: what the rule says, null included, else what the policy says."""
    return rule.rollback if rule is not None and "rollback" in rule.model_fields_set else policy.rollback


def _may_roll_back(rollback: Rollback, failure: Failure) -> bool:
    return rollback.to in failure.before and failure.rollbacks < rollback.maximum_times


def delay_before(retry: RetryPolicy, failures: int, error: ErrorInfo, roll: float) -> float:
    """Seconds to wait after the ``failures``-th failure; an exception's own ``retry_after`` is a minimum, up to a
    day, unless it is so long that it can be no duration: a point in time, say.
    """
    # The exponent is bounded, as the coefficient is, so that a policy without an attempt limit can't overflow a float.
    grown = retry.initial_interval * retry.backoff_coefficient ** min(failures - 1, 64)
    # Who says `initial_interval: 5m` and no more has not asked for less, whatever the default maximum is.
    delay = min(grown, max(retry.maximum_interval, retry.initial_interval)) * (1 + retry.jitter * (2 * roll - 1))
    wanted = error.retry_after_s or 0.0
    return max(delay, min(wanted, LONGEST_RETRY_AFTER_S)) if wanted <= LONGEST_S else delay


def matching_rule(policy: PhasePolicy, error: ErrorInfo) -> Rule | None:
    """The first rule, in their order, whose exception is the error's class or one of its bases."""
    return next((rule for rule in policy.rules if matches(rule.exception, error)), None)


def matches(name: str, error: ErrorInfo) -> bool:
    """Whether a fully qualified class name (builtins with or without ``builtins.``) is the error's class or a base."""
    plain = name.removeprefix("builtins.")
    return plain == error.type or plain in error.bases


# --- thresholds of a session ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reached:
    """A threshold that holds now; for ``pause_launches``, until ``until``."""

    threshold: Threshold
    until: datetime


def reached(
    thresholds: Sequence[Threshold], failures: Sequence[datetime], now: datetime, action: str
) -> Reached | None:
    """The threshold with this action that a session's failures (times, ascending) have reached; the longest-lasting."""
    found: list[Reached] = []
    for threshold in thresholds:
        if threshold.action != action:
            continue
        recent = [at for at in failures if (now - at).total_seconds() < threshold.window]
        if len(recent) >= threshold.errors:
            # It ends when so many are old enough that fewer than `errors` are left.
            found.append(Reached(threshold, recent[-threshold.errors] + timedelta(seconds=threshold.window)))
    return max(found, key=lambda each: each.until, default=None)
