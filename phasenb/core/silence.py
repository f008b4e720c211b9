"""What a host makes of silence, another's and its own. Pure: time is an argument, seconds of one monotonic clock.

Rules: who could not write itself has no say about others' silence, since the store may be out of order for all; who
can't write, while others may, stops before they could take its silence for its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from phasenb.core.ports import HostInfo

Alive = Callable[[HostInfo], bool | None]
_BREAK = 1 / 2  # of a lease without a beat: who has one begins anew to watch the others; its own time is half over
LOOP_STANDS_S = 600.0
_LATE = 3 / 8  # of a lease without a beat: one is missing


@dataclass(slots=True)
class Watch:
    """What this host has seen of the others' counters."""

    lease_s: float
    _seen: dict[str, tuple[int, float]] = field(default_factory=dict)

    def dead(self, hosts: Iterable[HostInfo], now: float, alive: Alive, steady_since: float) -> list[HostInfo]:
        """The hosts that are gone: by their process, or by their silence. ``alive`` None: that can't be known here;
        ``steady_since``: see OwnLease.
        """
        found, seen = [], {}
        for host in hosts:
            counter, since = self._seen.get(host.host, (host.counter, now))
            if counter != host.counter:
                counter, since = host.counter, now
            seen[host.host] = (counter, since)
            if alive(host) is False or now - max(since, steady_since) >= self.lease_s:
                found.append(host)
        self._seen = seen
        return found


@dataclass(slots=True)
class OwnLease:
    """``beaten``: when this host's newest beat that was stored had been asked for; ``steady``: since when they come
    without a break.
    """

    lease_s: float
    beaten: float
    steady: float
    _looked: float = 0.0  # when this host's beats began to be missing,
    _counted: dict[str, int] | None = None  # and what the others had counted then
    _idle: float = 0.0  # until when nobody else could write either

    def beat(self, asked: float, stored: float) -> None:
        """A beat was asked for and stored."""
        self.steady = self.steady_since(stored)
        self.beaten, self._counted = asked, None

    def late(self, now: float) -> bool:
        """Whether to look at what the others do, and ask whether this one is ``lost``."""
        return now - self.beaten >= self.lease_s * _LATE

    def steady_since(self, now: float) -> float:
        """From when on this host's word about another's silence counts."""
        return now if now - self.beaten >= self.lease_s * _BREAK else self.steady

    def lost(self, asked: float, answered: float, others: Iterable[HostInfo] | None) -> bool:
        """Whether another host may soon take this one for dead: one can write, while this one can't. ``others``: as
        they were between two times, None where that can't be seen. To be asked often while this host is ``late``.
        """
        if self.alone(asked, answered, others):
            return False
        return answered - max(self.beaten, self._idle) >= self.lease_s * _BREAK

    def alone(self, asked: float, answered: float, others: Iterable[HostInfo] | None) -> bool:
        """Whether no other host could write since this one's beats are missing, as far as can be seen."""
        if others is None:
            return False
        counted = {host.host: host.counter for host in others}
        if self._counted is None:
            self._looked, self._counted = answered, counted
        if any(count != self._counted.get(host) for host, count in counted.items()):
            return False
        if asked - self._looked >= self.lease_s * _BREAK:  # a break for them too: each begins its watch anew
            self._idle = asked
        return True


def froze(gap_s: float, busy_s: float, lease_s: float) -> bool:
    """Whether a thread that should have a turn in each sixteenth of a lease had none because its process was frozen:
    ``gap_s``: between two of its turns; ``busy_s``: processor time that the process took meanwhile.
    """
    return gap_s >= lease_s * _LATE and busy_s < gap_s / 2


@dataclass(slots=True)
class Life:
    """What a host's heartbeat thread shows. ``stands_s``: for how long the host's event loop may stand: one that does
    nothing any more gives its tasks up. ``forgotten``: it was taken for dead.
    """

    lease: OwnLease
    stands_s: float
    forgotten: bool = False

    def beats(self, stood_s: float) -> bool:
        """Whether it shows any life. ``stood_s``: since the loop's newest turn."""
        return stood_s < self.stands_s

    def feeds(self, asked: float, answered: float, others: Iterable[HostInfo] | None) -> bool:
        """Whether guardians hear of it: while its newest stored beat is young, or no other host can write. So the last
        word comes so early that workers end before others may take their tasks up. ``others`` as for ``lost``.
        """
        if self.forgotten:
            return False
        return not self.lease.late(answered) or self.lease.alone(asked, answered, others)
