"""SessionFailures: whether a session's phases failed too often, for the thresholds of error_recovery.yaml.

Rules: counted in the store, and only where a policy has thresholds, so hosts that share it count alike and a restart
forgets nothing but a person's word that launches may go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from phasenb.core import recovery
from phasenb.core.ports import Store
from phasenb.dto.policies import Threshold


class SessionFailures:
    """Failures by (owner, session)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._forgiven: dict[tuple[str, str], datetime] = {}

    async def reached(
        self,
        owner: str,
        session: str,
        thresholds: Sequence[Threshold],
        now: datetime,
        action: str,
        *,
        failing: bool = False,
    ) -> recovery.Reached | None:
        """The threshold with this action that holds now. ``failing``: count a failure that is about to be committed."""
        asked = [threshold for threshold in thresholds if threshold.action == action]
        if not asked:
            return None
        since = now - timedelta(seconds=max(threshold.window for threshold in asked))
        since = max(since, self._forgiven.get((owner, session), since))
        most = max(threshold.errors for threshold in asked)
        times = await self._store.failures(owner, session, since, most)
        return recovery.reached(asked, [*times, now] if failing else times, now, action)

    def forgive(self, owner: str, session: str, now: datetime) -> None:
        """Start counting anew: a person said so."""
        self._forgiven[owner, session] = now
