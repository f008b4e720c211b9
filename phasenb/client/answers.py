"""What a host answers to calls, for backends that reach it without HTTP: the objects of ``GET phasenb/api/...``."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from phasenb.client.backend import JsonObject

if TYPE_CHECKING:
    import pandas as pd

    from phasenb.store.frames import Aside
    from phasenb.store.lazy import Load


class Answers:
    """The calls of client.backend.Backend that are questions; ``_asked`` says how one is asked."""

    async def events(self, task_id: str, after_seq: int) -> JsonObject:
        return await self._asked("events", task_id=task_id, after_seq=after_seq)

    async def logs(self, task_id: str, after: int) -> JsonObject:
        return await self._asked("logs", task_id=task_id, after=after)

    async def source(self, task_id: str, phase: str, attempt: int | None) -> JsonObject:
        return await self._asked("source", task_id=task_id, phase=phase, attempt=attempt)

    async def results(self, *, task_id: str | None = None, session: str | None = None) -> JsonObject:
        return await self._asked("results", task_id=task_id, session=session)

    async def results_frame(
        self, load: Load, *, task_id: str | None, session: str | None, last: bool, flatten: bool, aside: Aside
    ) -> pd.DataFrame:
        from phasenb.store.frames import results_frame

        answer = await self.results(task_id=task_id, session=session)
        return await asyncio.to_thread(
            results_frame, answer["results"], last=last, flatten=flatten, load=load, aside=aside
        )

    @abstractmethod
    async def _asked(self, name: str, **arguments: Any) -> JsonObject:
        """Ask the host what web.nested.answer answers."""
