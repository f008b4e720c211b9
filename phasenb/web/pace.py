"""Whether a client keeps up with what it asked for (protocol.md, "Flow control"). Pure: time and counts come in.

Rules: what counts is the connection as a whole, however many tasks it follows. Not to read at all is borne for a while,
as a laptop may be busy; a slow client that goes on reading is borne until too many events wait for it in the log.
"""

from __future__ import annotations

STALL_S = 30.0


class Pace:
    """Of one connection. ``maximum_behind``: the events, of all its tasks, that may wait in the log for it."""

    def __init__(self, maximum_behind: int, stall_s: float = STALL_S) -> None:
        self._maximum_behind = maximum_behind
        self._stall_s = stall_s
        self._taken = 0
        self._since: float | None = None  # since when it takes nothing of what waits for it

    def problem(self, now: float, *, waiting: bool, taken: int, behind: int) -> str | None:
        """Why the connection is to be closed with 4008, or None. ``taken``: a count that grows while the client reads;
        ``waiting``: something of it is not sent yet.
        """
        if not waiting:
            self._since = None
        elif self._since is None or taken != self._taken:
            self._taken, self._since = taken, now
        if behind > self._maximum_behind:
            return "too slow for the events of its tasks"
        if self._since is not None and now - self._since >= self._stall_s:
            return f"nothing was read for {self._stall_s:.0f} s"
        return None
