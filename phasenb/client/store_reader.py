"""The store of a host on this machine, for ``memory()``: only read, so that no kernel moves it to another version."""

from __future__ import annotations

import asyncio
import atexit
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from phasenb.store.saver import MemorySaver
    from phasenb.store.view import MemoryView


class StoreReader:
    """Opened when it is first asked for. ``place``: what ``health.store`` says, its ``url`` and ``artifacts``."""

    def __init__(self) -> None:
        self._saver: MemorySaver | None = None

    async def view(self, place: Mapping[str, str], owner: str, session: str) -> MemoryView:
        """Raises StoreUnavailable."""
        from phasenb.store.saver import MemorySaver

        if self._saver is None:
            self._saver = await asyncio.to_thread(
                MemorySaver.open, place["url"], artifacts=place["artifacts"], reading=True
            )
            atexit.register(self._saver.close_blocking)  # the last to close it leaves one file
        return self._saver.view(owner, session)

    async def close(self) -> None:
        """Idempotent."""
        saver, self._saver = self._saver, None
        if saver is not None:
            atexit.unregister(saver.close_blocking)
            await saver.close()
