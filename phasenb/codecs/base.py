"""What a codec is, and the names of types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO


@dataclass(frozen=True, slots=True)
class Codec:
    """``accepts`` tells without side effects whether the round trip is exact; ``write`` streams into a file object.

    ``write`` may still raise on a value that was accepted: the next codec is tried then, or the value is refused.
    """

    name: str
    accepts: Callable[[Any], bool]
    write: Callable[[Any, BinaryIO], None]
    read: Callable[[BinaryIO], Any]


def type_name(value: Any) -> str:
    """The qualified name of a value's type, builtins without their module: ``int``, ``pandas.DataFrame``."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def comes_from(value: Any, package: str) -> bool:
    """Whether a type belongs to a package, told without importing the package."""
    module = type(value).__module__
    return module == package or module.startswith(f"{package}.")
