"""SessionFailures: when a session's phases failed, for the thresholds of error_recovery.yaml.

Rules: counted only where a policy has thresholds; the store is asked once for each session, so a restart forgets
nothing but a person's word that launches may go on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime

from phasenb.core import recovery
from phasenb.core.ports import Store
from phasenb.dto.phase_result import ResultStatus
from phasenb.dto.policies import Threshold

_KEPT = 10_000  # of one session: more failures than any threshold asks for


class SessionFailures:
    """Failures by (owner, session), in the order of their times."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._failures: dict[tuple[str, str], deque[datetime]] = {}

    async def load(self, owner: str, session: str) -> None:
        """Have what the store knows of a session."""
        if (owner, session) in self._failures:
            return
        found = await self._store.results(owner, session=session)
        bad = (ResultStatus.FAILED, ResultStatus.LOST)
        times = sorted(result.ended_at for _, result in found if result.status in bad)
        self._failures.setdefault((owner, session), deque(times, maxlen=_KEPT))

    async def add(self, owner: str, session: str, at: datetime) -> None:
        """A failure that is about to be committed."""
        await self.load(owner, session)
        self._failures[owner, session].append(at)

    def reached(
        self, owner: str, session: str, thresholds: Sequence[Threshold], now: datetime, action: str
    ) -> recovery.Reached | None:
        return recovery.reached(thresholds, tuple(self._failures.get((owner, session), ())), now, action)

    def forget(self, owner: str, session: str) -> None:
        """Start counting anew: a person said so."""
        self._failures[owner, session] = deque(maxlen=_KEPT)
