"""What is refused at once, by its own name: its parts would name a riddle, or a copy would be wrong."""

from __future__ import annotations

import pickle
import sys
from typing import Any

from phasenb.codecs.names.shell import NO_MAGICS

_NO_EXIT = "it is of the notebook's shell, which a worker has not: a phase ends when it returns or raises"


class Refused(pickle.PicklingError):
    """``value``: what is refused. ``whole``: whether the text says what to do too."""

    def __init__(self, text: str, value: Any, *, whole: bool = False) -> None:
        super().__init__(text)
        self.value = value
        self.whole = whole


def is_of_shell(kind: type) -> bool:
    """Whether instances are IPython's shell, or its ``exit`` and ``quit``."""
    return _is_a(kind, "IPython.core.interactiveshell", "InteractiveShell") or _is_autocall(kind)


def refuse_shell(value: Any) -> Any:
    raise Refused(_NO_EXIT if _is_autocall(type(value)) else NO_MAGICS, value, whole=True)


def is_memory_map(kind: type) -> bool:
    return _is_a(kind, "numpy", "memmap")


def refuse_memory_map(array: Any) -> Any:
    """One that is open for writing: a copy would take what is written. Another one goes as a copy, as it may."""
    if array.mode in ("r+", "w+"):
        raise Refused(f"a memory map of {array.filename}, open for writing", array)
    return NotImplemented


def _is_autocall(kind: type) -> bool:
    return _is_a(kind, "IPython.core.autocall", "IPyAutocall")


def _is_a(kind: type, module: str, name: str) -> bool:
    """Whether it is a class of a library that need not be here."""
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, type) and issubclass(kind, found)
