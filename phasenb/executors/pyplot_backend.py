"""matplotlib's backend in a worker: draws as Agg does, and ``plt.show()`` keeps what it would show (executors.figures).

Imported by matplotlib alone, which knows it by its name.
"""

from __future__ import annotations

from matplotlib import pyplot
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg

from phasenb.executors.figures import SHOWN


class FigureManager(FigureManagerBase):
    """Of one figure: ``figure.show()``."""

    def show(self) -> None:
        SHOWN.keep(self.canvas.figure)


class FigureCanvas(FigureCanvasAgg):
    """The name that matplotlib asks a backend for."""

    manager_class = FigureManager


def show(*args: object, **options: object) -> None:
    """All open figures, each once; closed afterwards."""
    try:
        for number in pyplot.get_fignums():
            SHOWN.keep(pyplot.figure(number))
    finally:
        pyplot.close("all")
