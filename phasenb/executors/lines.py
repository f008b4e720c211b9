"""An attempt's output as lines, and within its bound. Pure; its callers hold the locks.

Rules:

* A carriage return begins its line anew, and a control sequence may go up to draw one again, as on a terminal: of a
  progress bar, and of several below each other, only the last state is a line. What was drawn so waits for its end,
  for a line below it, or for nobody to touch it; until then it is unfinished, which displays show as it is.
* No text is lost on the way to lines: a line over LINE_CHARACTERS is cut into several.
* An attempt keeps the first three quarters of its bytes as they come, and of the rest the newest, sent at its end with
  the number of lines that were dropped between; a line in the log says so when the first part is full, and another one
  where not even the last line could be kept.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from phasenb.core.reports import LogChunk
from phasenb.dto.phase import LogLine
from phasenb.dto.texts import printable

StreamName = Literal["stdout", "stderr", "log"]

LINE_CHARACTERS = 65_536
SETTLE_S = 1.0  # how long a bar that is drawn to its end waits for somebody who draws it again
ROWS = 20  # that wait at most, as of bars below each other: tqdm draws no more by itself
# ECMA-48: cursor up and down, erase in line; a cursor that is hidden. Colours stay in the text.
_CURSOR = re.compile(r"\x1b\[(?:(?P<number>\d*)(?P<kind>[ABK])|\?25[lh])")
_BEGUN = re.compile(r"\x1b(?:\[[?\d;]{0,8})?")
_OVERHEAD_BYTES = 64  # JSON around a line's text, so that empty lines count too


class LineFolder:
    """Text of one stream, as it comes, to lines, and what of it is no line yet."""

    def __init__(self) -> None:
        self._rows = [_Row()]
        self._at = 0  # the row that the cursor is in
        self._anew = False  # whether the next text begins its row anew
        self._rest = ""  # a control sequence that has not come to its end

    def feed(self, text: str) -> list[str]:
        """The lines that ``text`` completes."""
        lines: list[str] = []
        text, self._rest = self._rest + text, ""
        row = self._rows[self._at]
        if len(self._rows) == 1 and not (row.redrawn or self._anew or "\r" in text or "\x1b" in text):
            *whole, row.text = (row.text + text).split("\n")  # as nearly always, and in a fraction of the time
            lines = [piece for line in whole for piece in _pieces(line)]
            row.touched = True
        else:
            self._feed_drawn(text, lines)
        row = self._rows[self._at]
        while len(row.text) > LINE_CHARACTERS:
            lines += self._released(self._at)
            lines.append(row.text[:LINE_CHARACTERS])
            row.text = row.text[LINE_CHARACTERS:]
        return lines

    def _feed_drawn(self, text: str, lines: list[str]) -> None:
        *whole, last = text.split("\n")
        for piece in whole:
            self._draw(piece)
            self._down(lines)
        begun = last.rfind("\x1b")
        cut = begun >= 0 and _BEGUN.fullmatch(last, begun) is not None
        self._rest = last[begun:] if cut else ""
        self._draw(last[:begun] if cut else last)

    def settle(self) -> list[str]:
        """Lines above the cursor that were not drawn anew since this was asked last: nobody goes back to them."""
        still = 0
        while still < self._at and not self._rows[still].touched:
            still += 1
        lines = self._released(still)
        for row in self._rows:
            row.touched = False
        return lines

    def unfinished(self, more: str = "") -> str:
        """What a terminal shows at its end that is no line yet: a bar that is being drawn, or several, a prompt.

        ``more``: what follows, and is not fed yet.
        """
        if more:
            after = deepcopy(self)
            after.feed(more)
            return after.unfinished()
        return "\n".join(text for row in self._rows if (text := row.shown().rstrip()))

    def end(self) -> list[str]:
        """What waits for the end of its line: it will not come."""
        lines = self._released(len(self._rows))
        self._rows, self._at, self._anew, self._rest = [_Row()], 0, False, ""
        return lines

    def _draw(self, piece: str) -> None:
        if "\x1b" not in piece:
            self._write(piece)
            return
        after = 0
        for found in _CURSOR.finditer(piece):
            self._write(piece[after : found.start()])
            after = found.end()
            self._control(found["kind"], int(found["number"] or 0))
        self._write(piece[after:])

    def _control(self, kind: str | None, number: int) -> None:
        if kind == "A":
            self._at = max(self._at - (number or 1), 0)
        elif kind == "B":
            self._at = min(self._at + (number or 1), len(self._rows) - 1)
        elif kind == "K" and (number == 2 or (number == 0 and self._anew)):
            self._rows[self._at] = _Row(redrawn=True)

    def _write(self, text: str) -> None:
        if not text:
            return
        row = self._rows[self._at]
        row.touched = True
        state = text.rstrip("\r")  # a return at the very end may be half of a line's end, \r\n
        if state:
            _, returned, newest = state.rpartition("\r")
            if self._anew or returned:
                row.text, row.redrawn = newest, True
            else:
                row.text += newest
        self._anew = len(state) < len(text)

    def _down(self, lines: list[str]) -> None:
        """A line's end: the cursor goes to the row below."""
        if self._at < len(self._rows) - 1:
            self._at, self._anew = self._at + 1, True
            return
        row = self._rows[self._at]
        self._anew = False
        if not row.redrawn:
            lines += self._released(self._at)
            lines += row.lines()
            self._rows = [_Row()]
            self._at = 0
            return
        self._rows.append(_Row())
        self._at += 1
        if self._at > ROWS:
            lines += self._released(1)

    def _released(self, count: int) -> list[str]:
        """The first rows as lines; they are nobody's to draw any more."""
        lines = [line for row in self._rows[:count] for line in row.lines(unless_empty=True)]
        del self._rows[:count]
        self._at = max(self._at - count, 0)
        return lines


def unfinished_of(streams: Iterable[tuple[LineFolder, str]]) -> str:
    """Of several streams, each with what follows."""
    return "\n".join(filter(None, (folder.unfinished(more) for folder, more in streams)))


@dataclass(slots=True)
class _Row:
    """One row of what is drawn. ``redrawn``: what was there before is overwritten; ``touched``: since the last look."""

    text: str = ""
    redrawn: bool = False
    touched: bool = True

    def shown(self) -> str:
        return self.text.rstrip() if self.redrawn else self.text  # what was longer before is padded with blanks

    def lines(self, *, unless_empty: bool = False) -> list[str]:
        text = self.shown()
        return [] if not text and (unless_empty or self.redrawn) else _pieces(text)


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

    def spend(self, chunk: LogChunk) -> None:
        """Lines that went another way, and count."""
        self._head_left -= sum(map(_cost, chunk.lines))

    def drop(self, lines: int, at: datetime) -> None:
        """So many lines were dropped on their way here."""
        if lines:
            self._dropped, self._dropped_at = self._dropped + lines, at

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


def _pieces(line: str) -> list[str]:
    if len(line) <= LINE_CHARACTERS:
        return [line]
    return [line[start : start + LINE_CHARACTERS] for start in range(0, len(line), LINE_CHARACTERS)]
