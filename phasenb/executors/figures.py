"""Figures that a phase shows, which nobody sees where it runs: they are kept as its artifacts.

Rules: each figure that is open at a ``plt.show()`` is kept once and closed then, as a notebook's inline backend does;
one with the label of another one is kept beside it (``loss``, ``loss 2``).
It is a backend of matplotlib like any other (``module://``), chosen when matplotlib is loaded in a worker, unless the
phase has chosen one by then; so is it a renderer of plotly, and a viewer of PIL. None of them is imported by this.

* What ``display`` shows and is no picture has its text in the log; where that says little, one line says so.
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
PLOTLY = "plotly.io"
PIL_SHOW = "PIL.ImageShow"
_BACKEND = "module://phasenb.executors.pyplot_backend"
_OF_WORKERS = "Agg"  # MPLBACKEND as a worker has it (executors.environment), so that its children draw no windows


class Shown:
    """What the phase that runs in this process has shown. ``find`` gives its context, None where none runs."""

    def __init__(self) -> None:
        self.find: Callable[[], Context | None] = lambda: None
        self._count = 0
        self._taken: set[str] = set()
        self._missed = False
        self._of: Context | None = None

    def keep(self, picture: Any) -> bool:
        """Keep a picture as an artifact, and say so; whether there is a phase to keep it."""
        ctx = self.find()
        if ctx is None:
            return False
        if ctx is not self._of:
            self._of, self._count, self._taken, self._missed = ctx, 0, set(), False
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

    def miss(self, thing: Any) -> None:
        """Say once that nobody sees what a page would show of ``thing``."""
        ctx = self.find()
        if ctx is None or (self._missed and ctx is self._of):
            return
        if ctx is not self._of:
            self._of, self._count, self._taken = ctx, 0, set()
        self._missed = True
        kind = f"{type(thing).__module__.partition('.')[0]}.{type(thing).__name__}"
        ctx.log(f"phasenb: no page shows what a phase displays: ctx.artifact(name, value) keeps it ({kind})")


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
        left = [thing for thing in things if not (_drives(thing) or (is_picture(thing) and SHOWN.keep(thing)))]
        for thing in left:
            if _is_for_pages(thing):
                SHOWN.miss(thing)
        return display(*left, **options) if left or not things else None

    module.display = kept


def _drives(thing: Any) -> bool:
    """A bar of tqdm.notebook, which is seen as every other one (executors.progress_bars)."""
    return type(thing).__module__ == "tqdm.notebook"


def _is_for_pages(thing: Any) -> bool:
    """Whether a page would show more of it than the line that is its text."""
    rich = any(hasattr(type(thing), name) for name in ("_repr_mimebundle_", "_repr_html_", "_repr_svg_", "_repr_png_"))
    return rich and "\n" not in repr(thing)


def choose_renderer() -> None:
    """Plotly was loaded: what ``figure.show()`` shows is kept, unless the phase says how it is to be shown."""
    plotly: Any = sys.modules[PLOTLY]

    class Kept(plotly.base_renderers.ExternalRenderer):  # type: ignore[misc]
        def render(self, fig_dict: dict[str, Any]) -> None:
            from plotly.graph_objects import Figure  # late: it is big, and most phases show nothing

            SHOWN.keep(Figure(fig_dict, skip_invalid=True))

    plotly.renderers["phasenb"] = Kept()
    if "PLOTLY_RENDERER" not in os.environ:
        plotly.renderers.default = "phasenb"


def add_viewer() -> None:
    """Pillow is about to show an image: it would look for programs that draw windows."""
    pillow: Any = sys.modules[PIL_SHOW]

    class Kept(pillow.Viewer):  # type: ignore[misc]
        def show(self, image: Any, **options: Any) -> int:
            return int(SHOWN.keep(image))  # 0: the next viewer may

    pillow.register(Kept, order=0)
