"""What the progress bars of a phase's own code say: which one drives the phase's bar, how far it is, in which words.

Rules:

* The outermost bar drives: of those that are open and not at their end, the one that was opened first. When it is
  closed, its last state stands until another one drives; that one begins anew, as a bar does on a screen.
* A bar inside it, opened by the same thread, refines its current item. Bars of other threads run beside it.
* A bar is asked when somebody looks, never at each turn of its loop: ``n, total, desc, postfix`` are tqdm's public
  attributes. It is not kept alive: it may end by being forgotten.
* So its end may come in a garbage collection, at any line of any thread, also of these: an end waits for nothing.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Protocol
from weakref import ref

_DEEPEST = 8  # bars within each other that count: one that is never closed may leave thousands behind


class Bar(Protocol):
    """What is asked of a bar."""

    @property
    def n(self) -> Any: ...

    @property
    def total(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class BarState:
    """``number`` counts the bars that drove; ``fraction`` 0..1, None where the driving one has no total."""

    number: int
    done: float
    total: float | None
    fraction: float | None
    message: str | None


@dataclass(frozen=True, slots=True)
class _Ended:
    """A bar as it was at its end."""

    n: Any
    total: Any
    desc: Any
    postfix: Any


@dataclass(slots=True, eq=False)
class _Open:
    bar: Callable[[], Bar | None]
    thread: int
    number: int = 0  # among those that drove; 0: it has not


class Bars:
    """Those of one attempt. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: deque[tuple[int, _Ended]] = deque()
        self._open: dict[int, _Open] = {}  # by id, as a bar that is being forgotten can't be asked for more
        self._driven = 0
        self._last: BarState | None = None

    def opened(self, bar: Bar) -> None:
        with self._lock:
            self._take_ends()  # a new bar may have the id of one that ended
            self._open[id(bar)] = _Open(ref(bar), threading.get_ident())

    def closed(self, bar: Bar) -> None:
        """``bar`` is at its end, as far as it came."""
        kept = _Ended(bar.n, bar.total, getattr(bar, "desc", None), getattr(bar, "postfix", None))
        self._ends.append((id(bar), kept))
        if self._lock.acquire(blocking=False):  # else whoever has it, or comes next, takes it in
            try:
                self._take_ends()
            finally:
                self._lock.release()

    def newest(self) -> BarState | None:
        """How it is now; None where there was no bar yet."""
        if not self._open:
            return self._last
        with self._lock:
            self._take_ends()
            driver = self._driver()
            bar = None if driver is None else driver.bar()
            if driver is not None and bar is not None:
                self._last = self._state(driver, bar)
            return self._last

    def _take_ends(self) -> None:
        while self._ends:
            number, kept = self._ends.popleft()
            known = self._open.get(number)
            if known is None:
                continue
            known.bar = partial(_itself, kept)
            if self._driver() is known or (known.number and known.number == self._driven):
                self._last = self._state(known, kept)
            del self._open[number]

    def _driver(self) -> _Open | None:
        there = [(each, bar) for each in self._open.values() if (bar := each.bar()) is not None]
        going = (each for each, bar in there if not _at_end(bar))
        return next(going, there[0][0] if there else None)

    def _state(self, driver: _Open, bar: Bar) -> BarState:
        if not driver.number:
            self._driven += 1
            driver.number = self._driven
        later = list(self._open.values())
        later = later[later.index(driver) + 1 :]
        inside = (found for each in later if each.thread == driver.thread and (found := each.bar()) is not None)
        inner = list(islice(inside, _DEEPEST))
        done, total = _number(bar.n) or 0.0, _number(bar.total)
        return BarState(driver.number, done, total, _refined([bar, *inner]), _message(bar, inner))


def _itself(bar: Bar) -> Bar:
    return bar


def _at_end(bar: Bar) -> bool:
    total = _number(bar.total)
    return total is not None and (_number(bar.n) or 0.0) >= total


def _refined(bars: list[Bar]) -> float | None:
    """How far the first is, where each one is inside the current item of the one before it."""
    first, *inner = bars
    total = _number(first.total)
    if not total:
        return None
    share = _refined(inner) if inner and not _at_end(first) else None
    return min(((_number(first.n) or 0.0) + (share or 0.0)) / total, 1.0)


def _message(bar: Bar, inner: list[Bar]) -> str | None:
    told = [_words(bar)]
    if inner:
        share = _refined(inner[-1:])
        told.append(" ".join(filter(None, [_words(inner[-1]), "" if share is None else f"{int(share * 100)} %"])))
    return " · ".join(filter(None, told)) or None


def _words(bar: Bar) -> str:
    name = str(getattr(bar, "desc", None) or "").strip().removesuffix(":")
    return ", ".join(filter(None, [name, str(getattr(bar, "postfix", None) or "").strip()]))


def _number(value: Any) -> float | None:
    """A finite number, at least 0. A person's own bar may count in anything."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return max(number, 0.0) if number - number == 0.0 else None
