"""Whether a recovery policy can do what it says: told at a launch, or when the file is read, and not only at the
failure that it was written for, in place of that failure.

Pure. A problem is where it is said, as a path of fields, and a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from phasenb.core.launch_check import nearest
from phasenb.core.recovery import fallback_of, rollback_of
from phasenb.dto.policies import BUILTIN_EXCEPTIONS, PhasePolicy, RecoveryPolicy, RetryPolicy, Rule, Timeouts

_NO_RETRY = RetryPolicy()
OTHER = ""  # stands for the phases that a file does not name


class Problem(NamedTuple):
    path: tuple[str, ...]
    told: str


class Named(NamedTuple):
    """An agent that a policy names as fallback, where, and the phases that it is for."""

    path: tuple[str, ...]
    agent: str
    phases: tuple[str, ...]


def dead_rule(
    said: RecoveryPolicy, policy: RecoveryPolicy, phases: Sequence[str], own: Callable[[str], bool]
) -> Problem | None:
    """The first rule of ``said`` whose action can be taken in none of the ``phases`` that it holds for, under
    ``policy``, of which ``said`` is a part. ``own(phase)``: whether the workflow may have a fallback for the phase.
    """
    held = {name: policy.for_phase(name) for name in phases}
    numbers = _Numbers()
    rules = {name: numbers.of(each.rules) for name, each in held.items()}
    for place in _places(said, phases):
        for index, (rule, number) in enumerate(zip(place.rules, numbers.each(place.rules), strict=True)):
            holds = [name for name in place.phases if number in rules.get(name, ())]
            if holds and not any(_possible(rule, held[name], own(name)) for name in holds):
                named = [name for name in holds if name != OTHER]
                where = f" for {', '.join(named)}" if named else ""
                told = f"the rule for {rule.exception} says {rule.action}, and there is no {rule.action}{where}"
                return Problem((*place.path, "rules", str(index), "action"), told)
    return None


def limit_of_nothing(said: RecoveryPolicy) -> Problem | None:
    """The first limit of 0 seconds: no attempt is ever that quick, and no window holds a failure."""
    limits: list[tuple[tuple[str, ...], Timeouts]] = [(("defaults", "timeouts"), said.defaults.timeouts)]
    limits += [(("phases", name, "timeouts"), own.timeouts) for name, own in said.phases.items() if own.timeouts]
    found = [((*path, name), value) for path, timeouts in limits for name, value in timeouts]
    found += [(("thresholds", str(index), "window"), each.window) for index, each in enumerate(said.thresholds)]
    return next((Problem(path, "0 seconds is no time (null: no limit)") for path, value in found if value == 0), None)


def fallbacks(said: RecoveryPolicy, phases: Sequence[str]) -> Iterator[Named]:
    """Every agent that a policy names as fallback."""
    for place in _places(said, phases):
        found = [(place.path, place.fallback)]
        found += [((*place.path, "rules", str(index)), rule.fallback) for index, rule in enumerate(place.rules)]
        yield from (Named((*path, "fallback"), agent, place.phases) for path, agent in found if agent is not None)


def unknown_fallback(said: RecoveryPolicy, agents: Collection[str]) -> Problem | None:
    """The first fallback that is no agent's name here. ``module:attribute`` is for a worker to find."""
    for named in fallbacks(said, ()):
        if named.agent not in agents and ":" not in named.agent:
            known = f"it knows {', '.join(sorted(agents))}" if agents else "it knows none"
            meant = nearest(named.agent, agents)
            hint = f" Did you mean `{meant}`?" if meant else ""
            told = f"the fallback {named.agent!r} is an agent that this host does not know ({known}).{hint}"
            return Problem(named.path, told)
    return None


def matching_nothing(said: RecoveryPolicy) -> Iterator[Problem]:
    """The names that no exception can have: without a module, and none of Python's own."""
    for place in _places(said, ()):
        listed = list(_named_in(place.retry, place.path))
        for index, rule in enumerate(place.rules):
            path = (*place.path, "rules", str(index))
            listed.append(((*path, "exception"), rule.exception))
            listed += _named_in(rule.retry or _NO_RETRY, path)
        for path, name in listed:
            if "." not in name and name not in BUILTIN_EXCEPTIONS:
                meant = nearest(name, BUILTIN_EXCEPTIONS)
                hint = f"did you mean `{meant}`?" if meant else f"a notebook's or script's own is `__main__.{name}`"
                yield Problem(
                    path, f"`{name}` matches nothing, as no exception without a module has this name ({hint})"
                )


class _Numbers:
    """A number for each rule, equal ones alike: rules are hashed once each, and not for every phase anew."""

    def __init__(self) -> None:
        self._numbers: dict[Rule, int] = {}
        self._sets: dict[int, frozenset[int]] = {}

    def each(self, rules: Sequence[Rule]) -> list[int]:
        return [self._numbers.setdefault(rule, len(self._numbers)) for rule in rules]

    def of(self, rules: tuple[Rule, ...]) -> frozenset[int]:
        """Most phases have the very rules of ``defaults``. The policy keeps them while this is used."""
        found = self._sets.get(id(rules))
        if found is None:
            found = self._sets[id(rules)] = frozenset(self.each(rules))
        return found


def _named_in(retry: RetryPolicy, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The classes that a retry names beside those of ``retryable``, which are checked as it is read."""
    for field in ("transient", "non_retryable"):
        yield from (((*path, "retry", field), name) for name in getattr(retry, field))


class _Place(NamedTuple):
    """What a policy says in one place, and the phases that it holds for."""

    path: tuple[str, ...]
    rules: tuple[Rule, ...]
    fallback: str | None
    retry: RetryPolicy
    phases: tuple[str, ...]


def _places(said: RecoveryPolicy, phases: Sequence[str]) -> Iterator[_Place]:
    """``defaults``, and each phase that there is a policy for."""
    defaults = said.defaults
    yield _Place(("defaults",), defaults.rules, defaults.fallback, defaults.retry, tuple(phases))
    for name, own in said.phases.items():
        yield _Place(("phases", name), own.rules or (), own.fallback, own.retry or _NO_RETRY, (name,))


def _possible(rule: Rule, policy: PhasePolicy, own: bool) -> bool:
    if rule.action == "fallback":
        return fallback_of(policy, rule, own=own) is not None
    return rule.action != "rollback" or rollback_of(policy, rule) is not None
