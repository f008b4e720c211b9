"""Pacing: launches that a server would not take yet go one after the other, as fast as it takes them.

Rules: nothing is held back before a server refuses something. Then launches wait in the order in which they were asked,
each for its own moment, so that a thousand of them are not sent again and again; other commands don't wait behind them.
Whoever waits for long is told so, once until there is quiet again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

WORTH_A_WORD_S = 1.0
QUIET_S = 1.0  # without a launch that waits: what comes then is another burst


class Pacing:
    """Of one connection, on its loop. ``notice`` gets the one line."""

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._turn = asyncio.Lock()  # first come, first served
        self._waiting = 0
        self._held_s = 0.0
        self._since_quiet = 0
        self._left_at = 0.0
        self._told = False

    @property
    def holds(self) -> bool:
        """Whether launches wait: another one comes behind them."""
        return self._waiting > 0

    async def turn(self, wait_s: float, per_second: float) -> None:
        """Return when the next launch may be sent: ``wait_s`` after the one before, and at most ``per_second``."""
        loop = asyncio.get_running_loop()
        if not self._waiting and loop.time() - self._left_at > QUIET_S:
            self._held_s, self._since_quiet, self._told = 0.0, 0, False
        self._waiting += 1
        self._since_quiet += 1
        try:
            async with self._turn:
                pause_s = max(wait_s, 1 / per_second)
                await asyncio.sleep(pause_s)
                self._held_s += pause_s
                self._tell(per_second)
        finally:
            self._waiting -= 1
            self._left_at = loop.time()

    def _tell(self, per_second: float) -> None:
        if self._told or self._held_s < WORTH_A_WORD_S:
            return
        self._told = True
        takes = f"the server takes {per_second:g} a second (commands_per_second)"
        if self._waiting > 1:
            self._notice(f"{self._since_quiet:,} launches are being sent, {takes}")
        else:
            self._notice(f"launches wait a moment each: {takes}")
