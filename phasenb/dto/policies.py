"""Recovery policies and limits as frozen values: the schema of error_recovery.yaml.

Field names follow Temporal's retry policy (docs.temporal.io, "Retry policies") plus jitter. Durations are seconds
here; the file may also say "90s", "5m", "2h", "1d".
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from phasenb.dto import bounds
from phasenb.dto.base import Frozen, PhaseName
from phasenb.dto.bounds import AtMost
from phasenb.dto.texts import printable

LONGEST_S = 3650 * 86_400.0  # ten years: what is longer is a slip, and no date has room for all of them
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$")
_LONGEST_TEXT = 40  # characters that are read: no duration needs as many
_Text = Annotated[str, Field(pattern=_DURATION.pattern, max_length=_LONGEST_TEXT)]


def parse_duration(value: Any) -> Any:
    """Seconds from a number or from text such as ``"90s"`` or ``"2h"``; anything else is left to the validator."""
    if isinstance(value, str):
        match = _DURATION.match(value[:_LONGEST_TEXT])
        if match is None:
            shown = repr(value[:_LONGEST_TEXT])
            raise ValueError(f'{shown} is not a duration: write seconds, or a number with a unit such as "90s" or "2h"')
        return float(match[1]) * _UNITS[match[2]]
    return _no_boolean(value)


def _no_boolean(value: Any) -> Any:
    """Python, and so pydantic, takes true for 1."""
    if isinstance(value, bool):
        raise ValueError("a number is meant, not true or false")
    return value


Whole = Annotated[int, BeforeValidator(_no_boolean)]
Number = Annotated[float, BeforeValidator(_no_boolean)]
Seconds = Annotated[
    float,
    BeforeValidator(parse_duration, json_schema_input_type=float | _Text),
    Field(ge=0, le=LONGEST_S, allow_inf_nan=False),
]
P = TypeVar("P", bound="Policy")
ExceptionName = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*$"), AtMost(bounds.NAME)]
ExceptionNames = Annotated[tuple[ExceptionName, ...], AtMost(bounds.CLASSES)]
AgentName = Annotated[str, AtMost(bounds.PLACE)]
BUILTIN_EXCEPTIONS = frozenset(
    name for name, found in vars(builtins).items() if isinstance(found, type) and issubclass(found, BaseException)
)
TRANSIENT: Literal["transient"] = "transient"
ANY: Literal["any"] = "any"


class Policy(Frozen):
    """A policy refuses keys it does not know: a misspelt one must not be silently without effect."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def spelled_out(said: Mapping[str, Any]) -> dict[str, Any]:
    """What one place says, before it is laid over another: a retry that names ``maximum_attempts`` alone means any
    error, whatever the place below it says.
    """
    found: dict[str, Any] = {}
    for key, value in said.items():
        inner = spelled_out(value) if isinstance(value, Mapping) else value
        found[key] = _spelled(inner) if key == "retry" and isinstance(inner, dict) else inner
    return found


def _spelled(retry: Mapping[str, Any]) -> dict[str, Any]:
    return {"retryable": ANY, **retry} if "maximum_attempts" in retry else dict(retry)


class RetryPolicy(Policy):
    """When a failed attempt is tried again. ``maximum_attempts`` counts the first one too; 0 means without limit.

    The delay before attempt n+1 is ``initial_interval * backoff_coefficient ** (n - 1)``, at most
    ``maximum_interval`` (an ``initial_interval`` over it stays what it is), spread by ``+- jitter`` of itself.

    ``retryable``: which errors are tried again: ``transient`` ones (core.recovery; ``transient`` adds classes to them),
    ``any``, or those of the named classes, ``transient`` among the names included. A policy that says
    ``maximum_attempts`` and not which means any.
    """

    initial_interval: Seconds = 1.0
    backoff_coefficient: Number = Field(default=2.0, ge=1, le=1000)
    maximum_interval: Seconds = 100.0
    maximum_attempts: Whole = Field(default=3, ge=0)
    jitter: Number = Field(default=0.1, ge=0, le=1)
    retryable: Literal["transient", "any"] | ExceptionNames = TRANSIENT
    transient: ExceptionNames = ()
    non_retryable: ExceptionNames = ()

    @model_validator(mode="before")
    @classmethod
    def _meaning(cls, said: Any) -> Any:
        return _spelled(said) if isinstance(said, dict) else said

    @field_validator("retryable", mode="before")
    @classmethod
    def _can_match(cls, said: Any) -> Any:
        """Raises ValueError for a name that no exception can have: it would leave the phase without retries."""
        names = [said] if isinstance(said, str) else said
        if said in (TRANSIENT, ANY) or not isinstance(names, list | tuple):
            return said
        for name in names[: bounds.CLASSES]:  # more are refused by their number, and a long name by its length
            if not isinstance(name, str) or len(name) > bounds.NAME:
                break
            if "." not in name and name != TRANSIENT and name not in BUILTIN_EXCEPTIONS:
                near = get_close_matches(name, [TRANSIENT, ANY, *sorted(BUILTIN_EXCEPTIONS)], n=1)
                shown = printable(name)
                hint = f"did you mean `{near[0]}`?" if near else f"a notebook's or script's own is `__main__.{shown}`"
                raise ValueError(
                    f"`{shown}` is no exception's name. Write transient, any, or full names of classes ({hint})"
                )
        return names

    def overlaid(self, other: RetryPolicy) -> RetryPolicy:
        """This policy with what ``other`` says; what it does not say stays."""
        return _overlaid(self, {name: getattr(other, name) for name in other.model_fields_set})


class Timeouts(Policy):
    """``attempt`` and ``task`` are wall times, ``heartbeat`` the longest silence of a phase; null means none."""

    attempt: Seconds | None = None
    heartbeat: Seconds | None = None
    task: Seconds | None = None


class Rollback(Policy):
    to: PhaseName
    maximum_times: Whole = Field(default=1, ge=1)


class Rule(Policy):
    """For exceptions of class ``exception`` (fully qualified; subclasses match): replaces what it names.

    A rule's ``retry`` is laid over the phase's, field by field, and so is tried again what is ``non_retryable``
    otherwise; ``action`` leaves no other option.
    """

    exception: ExceptionName
    retry: RetryPolicy | None = None
    fallback: AgentName | None = None
    rollback: Rollback | None = None
    action: Literal["retry", "fallback", "rollback", "abort"] | None = None


Rules = Annotated[tuple[Rule, ...], AtMost(bounds.RULES)]


class PhasePolicy(Policy):
    """What happens when an attempt fails: retry, then fallback, then rollback, else abort."""

    retry: RetryPolicy = RetryPolicy()
    timeouts: Timeouts = Timeouts()
    rules: Rules = ()
    fallback: AgentName | None = None
    rollback: Rollback | None = None


class Threshold(Policy):
    """Per session: ``errors`` failures within ``window`` abort the task, or pause new launches."""

    errors: Whole = Field(ge=1)
    window: Seconds
    action: Literal["abort", "pause_launches"]


class PhaseOverride(Policy):
    """A phase's own policy: what it does not say comes from ``defaults``; null is a word: none here."""

    retry: RetryPolicy | None = None
    timeouts: Timeouts | None = None
    rules: Rules | None = None
    fallback: AgentName | None = None
    rollback: Rollback | None = None

    @field_validator("timeouts")
    @classmethod
    def _of_a_phase(cls, timeouts: Timeouts | None) -> Timeouts | None:
        if timeouts is not None and timeouts.task is not None:
            raise ValueError("`task` limits the whole task: say it in `defaults`")
        return timeouts


class RecoveryPolicy(Policy):
    """The whole of error_recovery.yaml. ``for_phase(name)`` is the policy that holds for one phase."""

    defaults: PhasePolicy = PhasePolicy()
    phases: Annotated[dict[PhaseName, PhaseOverride], AtMost(bounds.PHASES)] = Field(default_factory=dict)
    thresholds: Annotated[tuple[Threshold, ...], AtMost(bounds.THRESHOLDS)] = ()
    maximum_recoveries: Whole = Field(default=10, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _not_too_many_rules(cls, said: Any, info: ValidationInfo) -> Any:
        """Before they are read: that is what takes its time."""
        if info.context == bounds.STORED:
            return said
        phases = said.get("phases") if isinstance(said, dict) else None
        own = [one.get("rules") for one in phases.values() if isinstance(one, dict)] if isinstance(phases, dict) else []
        count = sum(len(rules) for rules in own if isinstance(rules, list | tuple))
        if count > bounds.RULES_OF_ALL:
            raise ValueError(
                f"`phases` may have at most {bounds.RULES_OF_ALL} rules together, and {count:,} are given: have those "
                "that are the same for all in `defaults`"
            )
        return said

    def for_phase(self, name: str) -> PhasePolicy:
        override = self.phases.get(name)
        if override is None:
            return self.defaults
        # Only what the file says counts: fields at their model's default come from `defaults`.
        said = {name: getattr(override, name) for name in override.model_fields_set}
        # A key without anything below it is null in YAML. Of these, null means nothing said.
        said = {key: value for key, value in said.items() if value is not None or key in ("fallback", "rollback")}
        return _overlaid(self.defaults, said)

    def overridden(self, override: dict[str, Any], context: bounds.Reading = None) -> RecoveryPolicy:
        """This policy with a launch's ``recovery`` option laid over it, field by field. Raises ValidationError.
        ``context``: ``bounds.STORED`` for a launch of the store.
        """
        laid = _merge(self.model_dump(exclude_unset=True), spelled_out(override))
        return RecoveryPolicy.model_validate(laid, context=context)


def _overlaid(policy: P, said: dict[str, Any]) -> P:
    """``policy`` with these fields, and what is a policy in both field by field. Both were validated, and are not
    again: this is asked for each phase of each launch.
    """
    laid = {}
    for name, value in said.items():
        below = getattr(policy, name)
        if isinstance(value, Policy) and isinstance(below, Policy):
            laid[name] = _overlaid(below, {inner: getattr(value, inner) for inner in value.model_fields_set})
        else:
            laid[name] = value
    return policy.model_copy(update=laid)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        nested = merged.get(key)
        merged[key] = _merge(nested, value) if isinstance(nested, dict) and isinstance(value, dict) else value
    return merged
