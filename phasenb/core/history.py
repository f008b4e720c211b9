"""History: what decisions need to know of a task's past beyond its snapshot. A pure fold of the task's log.

Rules:

* Failures of a phase count since the last rollback over it, its fallback, or a manual retry (design.md section 4).
* The phases that a rollback has run again are told of the failure that caused it: running them as before would not
  help.
* A phase that is run again after a rollback, a denial or a manual retry keeps its own gate open; later gates ask anew.
* A secret that is missing is a person's to mend, and no failure of the phase.
* A host that was lost costs no attempt; recoveries that lost a running one count, since the last completed phase, and
  so do, by themselves, those after which it went on as it had only been frozen.
* Waiting for a person (a gate, a pause) is no time of the task's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from phasenb.dto import events as ev
from phasenb.dto.phase_result import ErrorInfo
from phasenb.dto.values import Json

_WAITS = ("approval_requested", "task_paused")
_GOES_ON = ("approval_given", "approval_denied", "task_resumed", "task_retried", "cancel_requested")


@dataclass(frozen=True, slots=True)
class Rolling:
    """An open rollback: ``phase`` failed, work goes on at ``to``; the phases ``to_undo``, in their order; which of
    them are undone so far, and which could not be; ``problems``: why, one for each of these.
    """

    phase: str
    to: str
    error: ErrorInfo
    to_undo: tuple[str, ...] = ()
    compensated: tuple[str, ...] = ()
    not_undone: tuple[str, ...] = ()
    problems: tuple[ErrorInfo, ...] = ()

    @property
    def next(self) -> str | None:
        """The phase whose compensation comes next."""
        return next((name for name in self.to_undo if name not in (*self.compensated, *self.not_undone)), None)


@dataclass(frozen=True)
class History:
    """``failures`` by phase; ``undo_failures`` by phase, of the open rollback; ``rollbacks`` by the phase that failed;
    ``fallbacks``: phase -> what runs in its place; ``started``: phase -> its newest attempt; ``fresh``: phase -> the
    attempt from which on checkpoints count, as those of a run that was completed or undone, or that was made of earlier
    outputs, are of no use to the next; ``approved``: phases whose gate is open;
    ``feedback``: phase -> why it is run again; ``revisions``: phase -> the newest revision of its output; ``delay_s``:
    of the newest retry; ``freezes``: how often its host was frozen since the last completed phase; ``active_s``:
    seconds of the task's own until ``since``, from when on it waits for nobody (None: it waits for a person, or has
    ended).
    """

    phases: tuple[str, ...] = ()
    failures: Mapping[str, int] = field(default_factory=dict)
    undo_failures: Mapping[str, int] = field(default_factory=dict)
    rollbacks: Mapping[str, int] = field(default_factory=dict)
    fallbacks: Mapping[str, str] = field(default_factory=dict)
    started: Mapping[str, int] = field(default_factory=dict)
    fresh: Mapping[str, int] = field(default_factory=dict)
    approved: frozenset[str] = frozenset()
    feedback: Mapping[str, str] = field(default_factory=dict)
    revisions: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[str, ErrorInfo] = field(default_factory=dict)
    rolling: Rolling | None = None
    recoveries: int = 0
    freezes: int = 0
    delay_s: float = 0.0
    active_s: float = 0.0
    since: datetime | None = None

    def after(self, event: ev.Event) -> History:
        """The history with one more event."""
        fold = _FOLDS.get(event.type)
        if fold is None and event.type not in _CLOCKED:
            return self
        # A copied dict: dataclasses.replace takes as long as the rest of the fold.
        after = object.__new__(History)
        after.__dict__.update(self.__dict__)
        after.__dict__.update(fold(self, event) if fold else {}, **self._clocked(event))
        return after

    def active(self, now: datetime) -> float:
        """Seconds of the task's own until now."""
        return self.active_s + (seconds_between(self.since, now) if self.since else 0.0)

    # --- parts of the fold -----------------------------------------------------------------------------------------

    def _attempt_ended(self, event: ev.PhaseComplete | ev.PhaseFailed) -> dict[str, Any]:
        return self._undo_ended(event) if event.kind == "compensation" else self._phase_ended(event)

    def _replaced(self, event: ev.PhaseFallback) -> dict[str, Any]:
        return {
            "fallbacks": {**self.fallbacks, event.phase: event.agent},
            "failures": _without(self.failures, (event.phase,)),
        }

    def _retried(self, event: ev.TaskRetried) -> dict[str, Any]:
        undone: dict[str, Any] = {"rollbacks": {}, "rolling": None, "undo_failures": {}, "recoveries": 0, "freezes": 0}
        return {**self._again_from(event.from_phase), **undone}

    def _denied(self, event: ev.ApprovalDenied) -> dict[str, Any]:
        if not event.redo:
            return {}
        return {**self._again_from(event.redo), "feedback": {**self.feedback, event.redo: event.reason}}

    def _phase_ended(self, event: ev.PhaseComplete | ev.PhaseFailed) -> dict[str, Any]:
        name = event.phase
        if isinstance(event, ev.PhaseComplete):
            return {
                "feedback": _without(self.feedback, (name,)),
                "errors": _without(self.errors, (name,)),
                "revisions": {**self.revisions, name: 1},
                "fresh": {**self.fresh, name: event.attempt + 1},
                "recoveries": 0,
                "freezes": 0,
            }
        change: dict[str, Any] = {"errors": {**self.errors, name: event.error}}
        if not event.error.missing_secret and not event.given_up:
            change["failures"] = {**self.failures, name: self.failures.get(name, 0) + 1}
        if event.next == "rollback" and event.to is not None:
            change["rolling"] = Rolling(name, event.to, event.error, event.compensations)
        return change

    def _undo_ended(self, event: ev.PhaseComplete | ev.PhaseFailed) -> dict[str, Any]:
        rolling = self.rolling
        if rolling is None:
            return {}
        if isinstance(event, ev.PhaseComplete):
            return {"rolling": replace(rolling, compensated=(*rolling.compensated, event.phase))}
        failures = {**self.undo_failures, event.phase: self.undo_failures.get(event.phase, 0) + 1}
        if event.next == "abort":
            left, why = (*rolling.not_undone, event.phase), (*rolling.problems, event.error)
            rolling = replace(rolling, not_undone=left, problems=why)
        return {"undo_failures": failures, "rolling": rolling}

    def _rolled_back(self, event: ev.PhaseRolledBack) -> dict[str, Any]:
        times = self.rollbacks.get(event.phase, 0) + 1
        change = {**self._again_from(event.to), "rollbacks": {**self.rollbacks, event.phase: times}}
        if self.rolling is not None:
            span = self.phases[self.phases.index(event.to) : self.phases.index(event.phase) + 1]
            change["errors"] = {**self.errors, **dict.fromkeys(span, self.rolling.error)}
        return change | {"rolling": None, "undo_failures": {}}

    def _again_from(self, first: str) -> dict[str, Any]:
        """Phases from ``first`` on are run again."""
        start = self.phases.index(first)
        again = self.phases[start:]
        later = {name: self.started[name] + 1 for name in again[1:] if name in self.started}
        return {
            "fresh": {**self.fresh, **later},
            "failures": _without(self.failures, again),
            "fallbacks": _without(self.fallbacks, again),
            "revisions": _without(self.revisions, again),
            "feedback": _without(self.feedback, again),
            "approved": self.approved - frozenset(self.phases[start + 1 :]),
        }

    def _edited(self, event: ev.ApprovalGiven) -> dict[str, Any]:
        before = self.phases.index(event.phase) - 1
        if event.revision is None or before < 0:
            return {}
        return {"revisions": {**self.revisions, self.phases[before]: event.revision}}

    def _clocked(self, event: ev.Event) -> dict[str, Any]:
        if event.type in _WAITS or event.type in _ENDS:
            return {"active_s": self.active(event.at), "since": None}
        if event.type == "task_retried":
            return {"active_s": 0.0, "since": event.at}
        if event.type in _GOES_ON and self.since is None:
            return {"since": event.at}
        return {}


_FOLDS: dict[str, Callable[[History, Any], dict[str, Any]]] = {
    "task_created": lambda history, event: {"phases": event.phases, "since": event.at},
    "phase_started": lambda history, event: {"started": {**history.started, event.phase: event.attempt}},
    "phase_complete": History._attempt_ended,
    "phase_failed": History._attempt_ended,
    "phase_retrying": lambda history, event: {"delay_s": event.delay_s},
    "phase_fallback": History._replaced,
    "phase_rolled_back": History._rolled_back,
    "approval_given": lambda history, event: {
        "approved": history.approved | {event.phase},
        **history._edited(event),
    },
    "approval_denied": History._denied,
    # Whoever takes up a task that only waits, or that its host left in good order, proves nothing against it; nor does
    # a host that was frozen with it, and goes on: that counts by itself.
    "task_recovered": lambda history, event: {
        "recoveries": history.recoveries + (event.lost_attempt is not None and event.reason is None),
        "freezes": history.freezes + (event.reason == "frozen"),
    },
    "task_retried": History._retried,
}
_ENDS = ("task_complete", "task_error", "task_cancelled")
_CLOCKED = frozenset({*_WAITS, *_GOES_ON, *_ENDS})


def seconds_between(start: datetime, end: datetime) -> float:
    """0 where the clock was set back in between."""
    return max(0.0, (end - start).total_seconds())


def history_of(events: Iterable[ev.Event]) -> History:
    """The fold over a whole log."""
    history = History()
    for event in events:
        history = history.after(event)
    return history


def values_after(values: dict[str, Json], event: ev.Event, phases: tuple[str, ...]) -> dict[str, Json]:
    """The values that phases may ask for, encoded, after one more event: launch inputs and the outputs that count.

    ``values`` itself where they stay the same.
    """
    if isinstance(event, ev.TaskCreated):
        return dict(event.inputs)
    if isinstance(event, ev.PhaseComplete) and event.kind == "phase":
        return {**values, event.phase: event.result.output}
    if isinstance(event, ev.ApprovalGiven) and event.revision is not None:
        return {**values, **dict.fromkeys(outdated(event, phases), event.edited)}
    gone = outdated(event, phases)
    return _without(values, gone) if gone else values


OUTDATING = frozenset({"approval_given", "approval_denied", "phase_rolled_back", "task_retried"})


def outdated(event: ev.Event, phases: tuple[str, ...]) -> tuple[str, ...]:
    """The phases whose outputs, as they were, count no longer after an event; none but for those in OUTDATING."""
    if event.type not in OUTDATING:
        return ()
    if isinstance(event, ev.ApprovalGiven) and event.revision is not None:
        before = phases.index(event.phase) - 1
        return phases[before : before + 1]
    again: str | None = None
    if isinstance(event, ev.PhaseRolledBack):
        again = event.to
    elif isinstance(event, ev.TaskRetried):
        again = event.from_phase
    elif isinstance(event, ev.ApprovalDenied):
        again = event.redo
    return phases[phases.index(again) :] if again is not None else ()


def _without(mapping: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    dropped = set(names)
    return {name: value for name, value in mapping.items() if name not in dropped}
