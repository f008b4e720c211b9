"""What a client that subscribes is given first: the events it missed, or a whole snapshot. Pure (protocol.md).

Rule: never a partial replay that calls itself whole. Where one event may be missing, the answer is a snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Replay:
    """Events ``after_seq + 1`` to ``last_seq``, then live. ``subscribed.seq`` is ``after_seq``, ``recovered`` true."""

    after_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot at ``seq``, then live. ``recovered`` false."""

    seq: int


def plan_replay(after_seq: int, epoch: str | None, store_epoch: str, last_seq: int, maximum: int) -> Replay | Snapshot:
    """Decide for a client that has seen all events up to ``after_seq`` of the store with ``epoch`` (None: this one).

    A snapshot where the epoch is another store's, where the client has seen more than there is (an older copy of the
    store was put back), or where more than ``maximum`` events are missing.
    """
    missed = last_seq - after_seq
    if epoch not in (None, store_epoch) or not 0 <= missed <= maximum:
        return Snapshot(last_seq)
    return Replay(after_seq, last_seq)
