"""What a decision about a task is made from, beside its state and its history."""

from __future__ import annotations

from dataclasses import dataclass, field

from phasenb.core.reports import Outcome
from phasenb.dto.phase import AttemptKind, Phase
from phasenb.dto.policies import RecoveryPolicy


@dataclass(frozen=True, slots=True)
class Plan:
    """What a task was launched with, as far as decisions ask for it.

    ``fallbacks`` and ``compensations``: the phases for which the agent has such functions (known once they matter);
    ``unknown``: why that could not be learned, where it could not.
    """

    policy: RecoveryPolicy = field(default_factory=RecoveryPolicy)
    approve_before: tuple[str, ...] = ()
    fallbacks: frozenset[str] = frozenset()
    compensations: frozenset[str] = frozenset()
    unknown: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that has ended, with what a decision about it needs to know.

    ``phase`` as it was when the attempt ran; ``kind`` of the attempt; ``roll`` in 0..1 for jitter; ``threshold`` is why
    a failure must not be tried again, whatever the policy says.
    """

    phase: Phase
    outcome: Outcome
    worker: str
    roll: float
    kind: AttemptKind = "phase"
    threshold: str | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """The attempt that a decision starts: its phase, and whether it undoes the phase."""

    phase: Phase
    kind: AttemptKind
