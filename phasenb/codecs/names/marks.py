"""What a pickle of ours calls and only our Loader answers, as it depends on who reads (reading.py). Stored values name
these functions: they stay where they are.
"""

from __future__ import annotations

from typing import Any, Never


def main_names() -> Never:
    """The reader's variables of ``__main__``."""
    _refuse()


def make(*arguments: Any) -> Never:
    """A class or function: the one that there is, else a new one, empty."""
    _refuse()


def fill(*arguments: Any) -> Never:
    """The state of what ``make`` made, where it is new."""
    _refuse()


def begin(*arguments: Any) -> Never:
    """The first part of the state of what ``make`` made."""
    _refuse()


def named(*arguments: Any) -> Never:
    """The object of that name in ``__main__``."""
    _refuse()


def _refuse() -> Never:
    raise RuntimeError("this pickle has names of a notebook in it: read it with phasenb, as task.output() does")
