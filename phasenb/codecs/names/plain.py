"""Constants: numbers, short texts, and small containers of them. They go along with code where data does not."""

from __future__ import annotations

from typing import Any

_NUMBERS = (bool, int, float, complex, type(None))
_TEXTS = (str, bytes)
_CONTAINERS = (list, tuple, set, frozenset, dict)
_LONGEST = 1_000
_MOST = 100


def is_plain(value: Any, depth: int = 3) -> bool:
    """Whether ``value`` is a constant."""
    kind = type(value)
    if kind in _NUMBERS:
        return True
    if kind in _TEXTS:
        return len(value) <= _LONGEST
    if kind not in _CONTAINERS or len(value) > _MOST or not depth:
        return False
    parts = [*value, *value.values()] if kind is dict else value
    return all(is_plain(part, depth - 1) for part in parts)
