"""Constants: numbers, short texts, and small containers of them. They go along with code where data does not."""

from __future__ import annotations

from typing import Any

from phasenb.core.variables import looks_secret

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


def holds_secret(name: str, value: Any) -> bool:
    """Whether a constant called ``name`` looks like a secret, as a variable of the environment does; or has one in it,
    by a key's name.
    """
    if isinstance(value, dict):
        return any(holds_secret(str(key), each) for key, each in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return any(holds_secret(name, each) for each in value)
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return isinstance(text, str) and looks_secret(name, text, lambda text: False)
