"""Where this process shows things: a kernel with a front end, or a terminal, or nobody.

IPython is never imported here: where it was not imported before, nothing runs in it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakSet

STATIC = Path(__file__).with_name("static")  # the widget's page side
_asked: WeakSet[Any] = WeakSet()


def widget_is_built() -> bool:
    """Whether the widget's page side is there: a wheel has it, `pip install -e .` leaves it to `make labextension`."""
    return (STATIC / "widget.js").is_file()


def shell() -> Any | None:
    """The running IPython shell, if there is one."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None and hasattr(module, "get_ipython") else None


def in_kernel() -> bool:
    """Whether this is a Jupyter kernel: its shell has a front end that shows rich output."""
    return hasattr(shell(), "kernel")


def output_place() -> int | None:
    """What an output shares its style sheet with: its cell's execution, as a page may run any cell again, or clear it.

    None: the whole notebook, where a program (nbclient, papermill, nbconvert) executes all of it once.
    """
    running = shell()
    kernel = getattr(running, "kernel", None)
    if running is None or kernel is None:
        return None
    by_page = "cellId" in kernel.get_parent().get("metadata", {}) or "google.colab" in sys.modules
    return cell_number() if by_page else None


def at_cell_end(do: Callable[[], object]) -> None:
    """Have ``do()`` called at the end of each cell, before its outputs are complete; asked again, still once."""
    events = getattr(shell(), "events", None)
    if events is not None and events not in _asked:
        _asked.add(events)
        events.register("post_run_cell", lambda _: do())


def cell_number() -> int | None:
    """The number of the cell that runs now, in a kernel."""
    running = shell()
    return running.execution_count if running is not None else None
