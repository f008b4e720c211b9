"""Objects without state that are told apart by identity: ``MISSING = object()`` of a library, by module and name.

A copy of one is another object, and ``value is MISSING`` would be wrong without a word.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_STATE_METHODS = ("__getnewargs__", "__getnewargs_ex__", "__setstate__")


def is_heap_type(kind: Any) -> bool:
    """Whether a class statement may have made it. Attributes of any other type can't be set."""
    return bool(kind.__flags__ & _HEAP_TYPE)


def may_be_sentinel(kind: Any, reducers: Mapping[Any, Any]) -> bool:
    """Whether instances of ``kind`` may be sentinels: plain ones, that have no state outside of their ``__dict__``."""
    if kind is object:
        return True
    return bool(
        is_heap_type(kind)
        and kind.__base__ is object
        and kind.__itemsize__ == 0
        and kind.__reduce_ex__ is object.__reduce_ex__
        and kind.__reduce__ is object.__reduce__
        and kind.__getstate__ is object.__getstate__
        and not any(hasattr(kind, name) for name in _STATE_METHODS)
        and kind not in reducers
        and not any(vars(cls).get("__slots__") for cls in kind.__mro__)
    )


_found: dict[int, tuple[str, str]] = {}


def known_place(value: Any) -> tuple[str, str] | None:
    """(module, name) of a sentinel that ``places_of`` has found before, where it still stands."""
    place = _found.get(id(value))
    if place is not None and vars(sys.modules.get(place[0], object)).get(place[1]) is value:
        return place
    return None


def places_of(kind: type) -> dict[int, tuple[str, str]]:
    """{id: (module, name)} of the instances of ``kind`` that imported modules have as globals. Of a class, only modules
    of its own package are looked at.
    """
    package = None if kind is object else kind.__module__.partition(".")[0]
    places: dict[int, tuple[str, str]] = {}
    if package == "__main__":
        return places
    for module_name, module in list(sys.modules.items()):
        if package is not None and module_name.partition(".")[0] != package:
            continue
        if isinstance(module, ModuleType) and module_name not in ("__main__", "__mp_main__"):
            for name, value in list(vars(module).items()):
                if type(value) is kind and is_bare(value):
                    places.setdefault(id(value), (module_name, name))
    _found.update(places)
    return places


def is_bare(value: Any) -> bool:
    return type(value) is object or not getattr(value, "__dict__", None)
