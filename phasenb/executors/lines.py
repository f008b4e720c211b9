"""An attempt's output as lines, and within its bound. Pure; its callers hold the locks.

Rules:

* A carriage return begins its line anew, as a terminal shows it: of a progress bar only the last state is a line.
* No text is lost on the way to lines: a line over LINE_CHARACTERS is cut into several.
* An attempt keeps the first three quarters of its bytes as they come, and of the rest the newest, sent at its end with
  the number of lines that were dropped between; a line in the log says so when the first part is full, and another one
  where not even the last line could be kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Literal

from phasenb.core.reports import LogChunk
from phasenb.dto.phase import LogLine
from phasenb.dto.texts import printable

StreamName = Literal["stdout", "stderr", "log"]

LINE_CHARACTERS = 65_536
_OVERHEAD_BYTES = 64  # JSON around a line's text, so that empty lines count too


class LineFolder:
    """Text of one stream, as it comes, to lines."""

    def __init__(self) -> None:
        self._rest = ""
        self._shown = ""

    def feed(self, text: str) -> list[str]:
        """The lines that ``text`` completes."""
        *whole, rest = (self._rest + text).split("\n")
        lines = [piece for line in whole for piece in _pieces(_folded(line))]
        # A return at the very end may be half of a line's end, \r\n; what was before an earlier one is overwritten.
        start = rest.rfind("\r", 0, max(len(rest) - 1, 0))
        if start >= 0:
            rest = rest[start:]
        while len(rest) > LINE_CHARACTERS:
            lines.append(rest[:LINE_CHARACTERS])
            rest = rest[LINE_CHARACTERS:]
        self._rest = rest
        if lines:
            self._shown = ""
        return lines

    def refresh(self) -> list[str]:
        """The state of a progress bar that is still being drawn, where it changed since it was asked for last."""
        state = _folded(self._rest) if "\r" in self._rest else ""
        if not state or state == self._shown:
            return []
        self._shown = state
        return [state]

    def end(self) -> list[str]:
        """What waits for the end of its line: it will not come."""
        rest, self._rest = _folded(self._rest), ""
        shown, self._shown = self._shown, ""
        return [rest] if rest and rest != shown else []


class LogBound:
    """Lines of one attempt within ``maximum_bytes``; ``mask`` takes secrets out of them."""

    def __init__(self, maximum_bytes: int, mask: Callable[[str], str] | None = None) -> None:
        self._mask = mask
        self._head_left = maximum_bytes * 3 // 4
        self._tail_left = maximum_bytes - self._head_left
        self._ready: list[LogLine] = []
        self._tail: deque[LogLine] | None = None
        self._dropped, self._dropped_at = 0, datetime.min

    def add(self, stream: StreamName, text: str, at: datetime) -> None:
        if self._mask is not None:
            text = self._mask(text)
        # Not validated: all three are made here, and a chatty phase makes a million of them.
        line = LogLine.model_construct(stream=stream, text=printable(text), at=at)
        cost = _cost(line)
        if self._tail is None:
            if cost <= self._head_left:
                self._head_left -= cost
                self._ready.append(line)
                return
            self._tail = deque()
            notice = "this attempt writes a lot: only its last lines are kept from here on (limits.log_bytes)"
            self._ready.append(LogLine.model_construct(stream="log", text=notice, at=at))
        self._tail.append(line)
        self._tail_left -= cost
        while self._tail_left < 0:
            first = self._tail.popleft()
            self._tail_left += _cost(first)
            self._dropped, self._dropped_at = self._dropped + 1, first.at

    def take(self, most: int = 500) -> LogChunk | None:
        """Lines that may go now, at most so many; None where none wait."""
        if not self._ready:
            return None
        chunk, self._ready = LogChunk(tuple(self._ready[:most])), self._ready[most:]
        return chunk

    def end(self) -> list[LogChunk]:
        """All that is left, at the attempt's end."""
        chunks = []
        while (chunk := self.take()) is not None:
            chunks.append(chunk)
        tail = list(self._tail or ())
        dropped, self._dropped = self._dropped, 0
        if dropped and not tail:
            told = "the last line of this attempt is too long to be kept (limits.log_bytes)"
            tail = [LogLine.model_construct(stream="log", text=told, at=self._dropped_at)]
        for start in range(0, len(tail), 500):
            chunks.append(LogChunk(tuple(tail[start : start + 500]), dropped))
            dropped = 0
        self._tail = self._tail and deque()
        return chunks


def _cost(line: LogLine) -> int:
    return len(line.text) + _OVERHEAD_BYTES


def _folded(line: str) -> str:
    """What a terminal shows of ``line`` in the end."""
    if "\r" not in line:
        return line
    states = line.rstrip("\r").rsplit("\r", 1)
    # Bars of several rows go up by a control sequence, and pad with blanks what was longer before.
    return states[-1].replace("\x1b[A", "").rstrip()


def _pieces(line: str) -> list[str]:
    if len(line) <= LINE_CHARACTERS:
        return [line]
    return [line[start : start + LINE_CHARACTERS] for start in range(0, len(line), LINE_CHARACTERS)]
