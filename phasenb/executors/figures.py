"""Figures that a phase shows, which nobody sees where it runs: they are kept as its artifacts.

Rules: each figure that is open at a ``plt.show()`` is kept once and closed then, as a notebook's inline backend does;
one with the label of another one is kept beside it (``loss``, ``loss 2``).
It is a backend of matplotlib like any other (``module://``), chosen when matplotlib is loaded in a worker, unless the
phase has chosen one by then. matplotlib is never imported by this.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from itertools import chain, count
from typing import Any

from phasenb.codecs import is_picture
from phasenb.core.context import Context
from phasenb.errors import ValueNotStorable

MATPLOTLIB = "matplotlib"
DISPLAY = "IPython.core.display_functions"
_BACKEND = "module://phasenb.executors.pyplot_backend"
_OF_WORKERS = "Agg"  # MPLBACKEND as a worker has it (executors.environment), so that its children draw no windows


class Shown:
    """What the phase that runs in this process has shown. ``find`` gives its context, None where none runs."""

    def __init__(self) -> None:
        self.find: Callable[[], Context | None] = lambda: None
        self._count = 0
        self._taken: set[str] = set()
        self._of: Context | None = None

    def keep(self, picture: Any) -> bool:
        """Keep a picture as an artifact, and say so; whether there is a phase to keep it."""
        ctx = self.find()
        if ctx is None:
            return False
        if ctx is not self._of:
            self._of, self._count, self._taken = ctx, 0, set()
        self._count += 1
        label = getattr(picture, "get_label", str)()
        names = _names(label if isinstance(label, str) else "", self._count)
        name = next(name for name in names if name not in self._taken)
        self._taken.add(name)
        try:
            ctx.artifact(name, picture)
        except (ValueNotStorable, OSError) as error:  # the phase has done its work all the same
            ctx.log(f"phasenb: {name} could not be kept: {error}")
        else:
            ctx.log(f"phasenb: what was shown is kept as an artifact: task.artifact({name!r})")
        return True


def _names(label: str, number: int) -> Iterator[str]:
    """What the figure of that number may be called: the first of these that is free."""
    if label:
        return chain((label,), (f"{label} {again}" for again in count(2)))
    return (f"figure {free}" for free in count(number))


SHOWN = Shown()


def choose_backend() -> None:
    """Matplotlib was loaded, and nothing has drawn yet."""
    if os.environ.get("MPLBACKEND") == _OF_WORKERS:
        sys.modules[MATPLOTLIB].rcParams["backend"] = _BACKEND


def watch_display() -> None:
    """``IPython.display`` is being loaded: pictures that it shows are kept; of all else it prints the text, as ever."""
    module: Any = sys.modules[DISPLAY]
    display = module.display

    def kept(*things: Any, **options: Any) -> Any:
        left = [thing for thing in things if not (is_picture(thing) and SHOWN.keep(thing))]
        return display(*left, **options) if left or not things else None

    module.display = kept
