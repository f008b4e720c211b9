"""The ``__main__`` of a child that a phase starts without a fork: the task's names, loaded when one is asked for.

multiprocessing runs this module in the child and takes its variables over, this function too.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    import sys  # here, so that the task's names stand alone

    from phasenb.executors.task_main import load_child

    load_child()
    return getattr(sys.modules["__main__"], name)
