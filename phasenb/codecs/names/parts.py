"""What is used of cloudpickle's inside: how it takes functions and classes apart. The one module that touches it.

Rule: it is tried when it is imported. Where it is not as it was, ``usable`` is False, one warning says so, and code and
values are written by plain cloudpickle, as earlier releases did.
"""

from __future__ import annotations

import enum
import warnings
from types import CellType, CodeType, FunctionType
from typing import Any

import cloudpickle
from cloudpickle import cloudpickle as inside

REDUCERS = cloudpickle.Pickler.dispatch_table
reduce_code = REDUCERS[CodeType]


def function_state(function: FunctionType) -> tuple[dict[str, Any], dict[str, Any]]:
    """Its attributes, and ``__name__``, ``__closure__`` and so on; ``__globals__`` are those that its code reads."""
    state: tuple[dict[str, Any], dict[str, Any]] = inside._function_getstate(function)
    return state


def set_function(function: FunctionType, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
    inside._function_setstate(function, state)


def class_state(cls: Any) -> dict[str, Any]:
    """What the class itself holds, without what its making gives it again."""
    take = inside._enum_getstate if issubclass(cls, enum.Enum) else inside._class_getstate
    attributes: dict[str, Any] = take(cls)[0]
    return attributes


def set_class(cls: Any, attributes: dict[str, Any]) -> None:
    inside._class_setstate(cls, (attributes, {}))


def _works() -> bool:
    def function(x: int = 1, *, y: int = 2) -> int:
        return x + y + cell + len(warnings.__name__)

    class Sample:
        n = 3

        def method(self) -> int:
            return self.n

    class Kind(enum.Enum):
        A = 1

    cell = 4
    sample: Any = function
    try:
        state, slots = function_state(sample)
        assert slots["__globals__"] == {"warnings": warnings}
        made = FunctionType(sample.__code__, {"len": len}, None, None, (CellType(),))
        set_function(made, (state, slots))
        other: Any = type("Sample", (), {})
        set_class(other, class_state(Sample))
        return made(5) == 5 + 2 + 4 + 8 and other().method() == 3 and "A" not in class_state(Kind)
    except Exception:  # whatever another release does with it: the answer is no
        return False


usable = _works()
if not usable:
    warnings.warn(
        f"cloudpickle {cloudpickle.__version__} is not one that phasenb knows: a notebook's classes travel as copies, "
        "so isinstance and == may fail on what comes back; another release of cloudpickle or phasenb mends it",
        stacklevel=2,
    )
