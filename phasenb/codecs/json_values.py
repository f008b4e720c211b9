"""JSON, where it is exact: builtin types only, str keys, finite floats, integers of 64 bits, a bounded tree.

Not exact, so refused here: tuples, int keys, NaN, subclasses (enums, named tuples, numpy scalars), lone surrogates,
cycles and trees deeper than MAX_DEPTH: a value sits some levels deep in a message, and readers stop at 255.
"""

from __future__ import annotations

from math import isfinite
from typing import Any, BinaryIO

import orjson

from phasenb.codecs.base import Codec

MAX_DEPTH = 100
MAX_NODES = 10_000_000  # of one level: shared containers can unfold without end, and such a value is better pickled
_ALWAYS_EXACT = frozenset({str, bool, type(None)})
_STR = frozenset({str})
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1  # what orjson carries


def is_exact(value: Any) -> bool:
    """Whether JSON gives back an equal value of the same types. Lone surrogates are found by ``dump``."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind in _ALWAYS_EXACT:
                continue
            if kind is dict and _str_keys(item):
                below.extend(item.values())
            elif kind is list:
                below.extend(item)
            elif not _exact_number(kind, item):
                return False
        if not below:
            return True
        if len(below) > MAX_NODES:
            return False
        level = below
    return False


def _str_keys(item: dict[Any, Any]) -> bool:
    return set(map(type, item)) <= _STR


def _exact_number(kind: type, item: Any) -> bool:
    if kind is int:
        return bool(_INT_MIN <= item <= _INT_MAX)
    return kind is float and isfinite(item)


def dump(value: Any) -> bytes | None:
    """The JSON text of an exact value; None for any other."""
    if not is_exact(value):
        return None
    try:
        return orjson.dumps(value)
    except TypeError:  # a lone surrogate
        return None


def _write(value: Any, file: BinaryIO) -> None:
    file.write(orjson.dumps(value))


def _read(file: BinaryIO) -> Any:
    return orjson.loads(file.read())


JSON = Codec("json", lambda value: dump(value) is not None, _write, _read)
