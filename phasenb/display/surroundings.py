"""Where this process shows things: a kernel with a front end, or a terminal, or nobody.

IPython is never imported here: where it was not imported before, nothing runs in it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

STATIC = Path(__file__).with_name("static")  # the widget's page side


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


def cell_number() -> int | None:
    """The number of the cell that runs now, in a kernel."""
    running = shell()
    return running.execution_count if running is not None else None
