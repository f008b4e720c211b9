"""What waits to be told, made smaller: progress by "newest wins", log lines by "the newest that fit".

Rules:

* Pure: time comes in as seconds of any clock that never goes back; nothing here waits or sends.
* Progress: the first value of a key goes at once, later ones at most every ``interval_s``, the newest wins, and a value
  equal to the one sent last is not sent again. What is still held when a key ends is handed out by ``end``.
* Log lines keep their order; what does not fit is left out from the old end and counted, never in silence: the store
  has it still.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from phasenb.dto.events import PhaseLog
from phasenb.dto.phase import LogLine

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class _Told(Generic[V]):
    value: V
    at: float


class Coalescer(Generic[K, V]):
    """Newest wins, for each key, at most one value per ``interval_s``. Values are compared with ``==``.

    ``coalesced`` counts the values that a newer one replaced before they were told.
    """

    def __init__(self, interval_s: float) -> None:
        self.coalesced = 0
        self._interval_s = interval_s
        self._told: dict[K, _Told[V]] = {}
        self._held: dict[K, V] = {}

    def offer(self, key: K, value: V, now: float) -> bool:
        """True: tell ``value`` now. False: it is held until it is due, or it changes nothing."""
        told = self._told.get(key)
        if told is None:
            self._told[key] = _Told(value, now)
            return True
        if value == told.value:
            self._held.pop(key, None)
            return False
        if now < told.at + self._interval_s:
            self.coalesced += key in self._held
            self._held[key] = value
            return False
        self._held.pop(key, None)
        told.value, told.at = value, now
        return True

    def due(self, now: float) -> list[tuple[K, V]]:
        """What has to be told now; it counts as told."""
        ready = [key for key in self._held if now >= self._told[key].at + self._interval_s]
        return [(key, self._tell(key, now)) for key in ready]

    def next_due(self) -> float | None:
        """When ``due`` will have something, or None while nothing is held."""
        return min((self._told[key].at + self._interval_s for key in self._held), default=None)

    def end(self, key: K) -> V | None:
        """The key is over: what was still held, to be told at once, or None. The key starts anew after this."""
        self._told.pop(key, None)
        return self._held.pop(key, None)

    def _tell(self, key: K, now: float) -> V:
        value = self._held.pop(key)
        self._told[key] = _Told(value, now)
        return value


_LINE_OVERHEAD = 64  # JSON around a line's text: stream, time, braces


@dataclass(slots=True)
class _Chunk:
    """Lines of one attempt without a gap between them. Before ``lines`` there were ``dropped``, which are gone, and
    ``skipped``, which only are not told here.
    """

    task_id: str
    phase: str
    attempt: int
    first_line: int
    dropped: int
    skipped: int
    lines: deque[LogLine]

    def same_attempt(self, log: PhaseLog | _Chunk) -> bool:
        return (self.task_id, self.phase, self.attempt) == (log.task_id, log.phase, log.attempt)

    def continued_by(self, log: PhaseLog) -> bool:
        return (
            self.same_attempt(log)
            and log.dropped == log.skipped == 0
            and log.first_line == self.first_line + len(self.lines)
        )


class LogBacklog:
    """Log messages that can't be sent yet: at most ``maximum_bytes`` of lines, the newest.

    For each attempt, ``len(lines) + dropped + skipped`` over all messages taken equals that of all messages added.
    """

    def __init__(self, maximum_bytes: int) -> None:
        self._maximum = maximum_bytes
        self._bytes = 0
        self._chunks: deque[_Chunk] = deque()

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def add(self, log: PhaseLog) -> None:
        last = self._chunks[-1] if self._chunks else None
        if last is not None and last.continued_by(log):
            last.lines.extend(log.lines)
        else:
            self._chunks.append(
                _Chunk(log.task_id, log.phase, log.attempt, log.first_line, log.dropped, log.skipped, deque(log.lines))
            )
        self._bytes += sum(_cost(line) for line in log.lines)
        if self._bytes > self._maximum:
            self._shrink()

    def take(self) -> list[PhaseLog]:
        """All that waits, in order; the backlog is empty afterwards."""
        chunks, self._chunks, self._bytes = self._chunks, deque(), 0
        return [
            # Built from values that were validated when they came in.
            PhaseLog.model_construct(
                task_id=chunk.task_id,
                phase=chunk.phase,
                attempt=chunk.attempt,
                first_line=chunk.first_line,
                dropped=chunk.dropped,
                skipped=chunk.skipped,
                lines=tuple(chunk.lines),
            )
            for chunk in chunks
        ]

    def _shrink(self) -> None:
        """Leave out the oldest lines. An emptied chunk hands its counts to its attempt's next one, or stays."""
        kept: deque[_Chunk] = deque()
        while self._chunks and self._bytes > self._maximum:
            chunk = self._chunks.popleft()
            while chunk.lines and self._bytes > self._maximum:
                self._bytes -= _cost(chunk.lines.popleft())
                chunk.first_line += 1
                chunk.skipped += 1
            following = self._chunks[0] if self._chunks else None
            if chunk.lines or following is None or not chunk.same_attempt(following):
                kept.append(chunk)
            else:
                following.dropped += chunk.dropped
                following.skipped += chunk.skipped
        kept.extend(self._chunks)
        self._chunks = kept


def _cost(line: LogLine) -> int:
    return len(line.text) + _LINE_OVERHEAD
