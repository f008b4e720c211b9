"""One running loop of ``ctx.track``: how far it is, how far the phase is by it, and when it looks at the clock next.

Rule: between two looks at the clock a turn costs an addition and a comparison; tqdm calls their distance miniters.
"""

from __future__ import annotations

from phasenb.core.real_clock import monotonic

_LONGEST_STRIDE = 1 << 20


class Track:
    """``check_at`` is the count at which the loop is looked at next; ``told`` the one that was reported last.

    ``low``..``high`` is the loop's share of the phase, or of its ``parent``'s current item.
    """

    __slots__ = ("_interval_s", "check_at", "checked_at", "done", "high", "low", "parent", "stride", "told", "total")

    def __init__(self, interval_s: float, total: float | None, low: float, high: float) -> None:
        self._interval_s = interval_s
        self.total = total
        self.low = low
        self.high = high
        self.done = 0
        self.told = -1
        self.stride = 1
        self.check_at = 1
        self.checked_at = monotonic()
        self.parent: Track | None = None

    def pace(self) -> float:
        """Choose the next check so that checks come a few times in each interval; the time now."""
        now = monotonic()
        spent = now - self.checked_at
        self.checked_at = now
        wanted = self._interval_s / 4
        if spent < wanted / 2:
            self.stride = min(self.stride * 2, _LONGEST_STRIDE)
        elif spent > wanted * 2:
            self.stride = max(int(self.stride * wanted / spent), 1)
        self.check_at = self.done + self.stride
        return now

    def fraction(self) -> float | None:
        """How far the phase is by this loop, or None where the length is unknown."""
        span = self._span()
        if span is None or self.total is None:
            return None if self.parent is None else self.parent.fraction()
        low, high = span
        return low + (high - low) * (min(self.done / self.total, 1.0) if self.total else 1.0)

    def item_span(self, low: float, high: float) -> tuple[float, float] | None:
        """The share of the phase that an inner loop within ``low``..``high`` of the current item has."""
        start = self.fraction()
        if start is None or not self.total:
            return None
        span = self._span()
        if span is None:
            return None
        width = (span[1] - span[0]) / self.total
        return min(start + width * low, span[1]), min(start + width * high, span[1])

    def _span(self) -> tuple[float, float] | None:
        return (self.low, self.high) if self.parent is None else self.parent.item_span(self.low, self.high)
