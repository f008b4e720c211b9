"""What a generator may yield, and what its result is.

One rule for every generator, sync or async, of a phase function or of a legacy agent. A yielded

===============================================  ================================================================
``None``                                         says only that the phase goes on (and a cancel takes effect there)
a float within 0..1                              is the fraction done
a ``Step``                                       is reported as it is
a str                                            is the message, and a line of the log; of ``stream()``: a piece of text
a dict with a key of _DICT_KEYS                  is progress: ``percent`` and ``percent_complete`` are 0..100,
                                                 ``fraction`` 0..1, ``progress`` either; with done, total, message
an object with ``percent_complete``              is progress, with its message, description, done, total if it has them
an event of a library of core.known_shapes       is a message, a step's number or the result, as that module says
anything else                                    is a plain value: it counts as one more step, its preview the message
===============================================  ================================================================

The stream ends where ``until`` says so of an item (Bounds), and more items than ``max_steps`` are a failure. The result
is what the generator returned, if that is not None; else the last ``result`` (or ``output``) that a yielded
dict or progress object carried and that was not None; else the last plain value; else, of an agent's ``stream()``, the
pieces of text joined, as models stream their answers; else None. Where texts were all that it yielded, a line of the
log says that they were messages; of several plain values one says that only the last counts.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from phasenb.core.context import Context
from phasenb.core.known_shapes import NO_RESULT, Told, told_by, unwrapped
from phasenb.dto.phase import Step
from phasenb.errors import AgentStopped

_PERCENT = ("percent_complete", "percent")
_MESSAGE = ("message", "description")
_RESULT = ("result", "output")
_DICT_KEYS = frozenset((*_PERCENT, *_MESSAGE, *_RESULT, "fraction", "progress"))
_SHOWN_TEXT = 120  # characters of a streamed text that are shown as the message: its newest
_MISSING: Any = object()

_preview = reprlib.Repr()
_preview.maxstring = _preview.maxother = 120


def preview(value: Any) -> str:
    """A line for people; never raises, never long."""
    try:
        shape = getattr(value, "shape", None)
        if isinstance(shape, tuple):
            return f"{type(value).__name__} {'x'.join(map(str, shape))}"
        return " ".join(_preview.repr(value).split())
    except Exception:  # a user's __repr__ or property may raise anything, and a preview is only for show
        return type(value).__name__


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a stream ends that has no end of its own: at the first item that ``until`` is true of, at the latest after
    ``max_steps`` items.
    """

    max_steps: int | None = None
    until: Callable[[Any], object] | None = None


NO_BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Result:
    """Yielded last by an adapter whose result may be anything, None too: an async generator can't return one."""

    value: Any


@dataclass(frozen=True, slots=True)
class WhenCancelled:
    """Yielded by an adapter whose work is done in threads of another library: ``call`` asks that work to stop."""

    call: Callable[[], object]


class Steps:
    """Reports what one generator yields, and keeps what may become its result.

    ``joins``: texts are pieces of one text, not messages. ``name``: what a message calls the one who yields.
    """

    def __init__(
        self, ctx: Context, *, joins: bool = False, bounds: Bounds = NO_BOUNDS, name: str = "the agent"
    ) -> None:
        self._ctx = ctx
        self._bounds = bounds
        self._name = name
        self._taken = 0
        self._result: Result | None = None
        self._pieces: list[str] | None = [] if joins else None
        self._end = ""  # of the text so far
        self._messages = False
        self._plain = 0
        self._last_plain: Any = None
        self._carried: Any = None

    def take(self, item: Any) -> bool:
        """Report one yielded item; whether the stream ends with it. Raises AgentStopped for one item too many."""
        if isinstance(item, Result):
            self._result = item
            return True
        self._taken += 1
        most = self._bounds.max_steps
        if most is not None and self._taken > most:
            raise AgentStopped(
                f"{self._name} made more than {most} steps and did not end: give it more with max_steps=, or say with "
                "until= when it is done"
            )
        self._report(item)
        return self._bounds.until is not None and bool(self._bounds.until(item))

    def _report(self, item: Any) -> None:
        if item is None:
            self._ctx.beat()
            return
        if isinstance(item, str):
            self._text(item)
        elif isinstance(item, Step):
            self._ctx.report(item)
        elif isinstance(item, Real) and not isinstance(item, Integral) and 0.0 <= float(item) <= 1.0:
            self._ctx.update(float(item))
        elif isinstance(item, Mapping) and not _DICT_KEYS.isdisjoint(item):
            self._progress(lambda name: item.get(name, _MISSING))
        elif not isinstance(item, type) and getattr(item, "percent_complete", _MISSING) is not _MISSING:
            self._progress(lambda name: getattr(item, name, _MISSING))
        elif (told := told_by(item)) is not None:
            self._event(told)
        else:
            self._plain += 1
            self._last_plain = item
            self._ctx.update(message=preview(item), done=self._plain)

    def result(self, returned: Any = None) -> Any:
        """The result of a generator that returned ``returned``."""
        if self._result is not None:
            return self._result.value
        if returned is not None:
            return unwrapped(returned)
        if self._carried is not None:
            return self._carried
        if self._pieces and self._last_plain is None:
            return "".join(self._pieces)
        if self._plain > 1:
            self._ctx.log(
                f"phasenb: {self._name} yielded {self._plain:,} values that are no steps, and only the last is its "
                "result: `return` a list of all that counts"
            )
        if self._messages and not self._plain:
            self._ctx.log(
                f"phasenb: the result of {self._name} is None: texts that it yields are messages, `return` the result"
            )
        return self._last_plain

    def _text(self, text: str) -> None:
        if self._pieces is None:
            self._messages = True
            self._ctx.update(message=text)
            self._ctx.log(text)
            return
        self._pieces.append(text)
        self._end = f"{self._end}{text}"[-_SHOWN_TEXT:]
        self._ctx.update(message=self._end)

    def _event(self, told: Told) -> None:
        if told.result is not NO_RESULT:
            self._carried = told.result
        if told.message is None and told.number is None:
            self._ctx.beat()
        else:
            self._ctx.update(message=told.message, done=told.number)

    def _progress(self, read: Any) -> None:
        for name in _RESULT:
            value = read(name)
            if value is not _MISSING and value is not None and not callable(value):
                self._carried = value
                break
        message = next((text for name in _MESSAGE if isinstance(text := read(name), str)), None)
        done, total = _number(read("done")), _number(read("total"))
        self._ctx.update(_fraction(read), message, done=done, total=total)


def _fraction(read: Any) -> float | None:
    """0..1, whatever a legacy agent says: out of range is clamped, what is no number is left out."""
    for name in _PERCENT:
        number = _number(read(name))
        if number is not None:
            return min(number / 100.0, 1.0)
    number = _number(read("fraction"))
    if number is None:
        number = _number(read("progress"))
        if number is not None and number > 1.0:
            number /= 100.0
    return None if number is None else min(number, 1.0)


def _number(value: Any) -> float | None:
    """A finite number, at least 0; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    number = float(value)
    return max(number, 0.0) if number - number == 0.0 else None
