"""A token bucket: how many commands a connection may send. Pure: time comes in."""

from __future__ import annotations


class TokenBucket:
    """``rate`` tokens a second, at most one second's worth (and at least one) saved up."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._capacity = max(1.0, rate)
        self._tokens = self._capacity
        self._at: float | None = None

    def take(self, now: float) -> float:
        """0.0 where a token was taken, else the seconds until there is one (nothing is taken then)."""
        if self._at is not None:
            self._tokens = min(self._capacity, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._rate
