"""Definitions as bytes: what follows a value for readers that have none, and a task's code for what it does not name.

Best effort: what can't be pickled, or is large, is left out, and nothing is refused for it. A reader then says by name
what it misses.
"""

from __future__ import annotations

import pickle
import types
import zlib
from collections.abc import Mapping
from typing import Any
from weakref import ref

from phasenb.codecs.names.bounded import Bounded, TooLargeError
from phasenb.codecs.names.home import Blobs, Home
from phasenb.codecs.names.tail import LOOKED_UP
from phasenb.codecs.names.writing import LRU, CodePickler

LIMIT = 1_000_000
_SPARE_LIMIT = 256_000
_EACH = 64_000  # bytes of one definition, where all of them together are too large

_DEFINED = (type, types.FunctionType, LRU)
_Known = tuple[tuple[str, "ref[Any]"], ...]
_last_spare: list[tuple[_Known, Blobs]] = []


def definitions(named: Mapping[str, Any], *, limit: int = LIMIT, data: bool = True) -> Blobs:
    """The definitions of what is ``named``: all in one, else each by itself. ``data``: see CodePickler."""
    whole = _dumped(named, limit, data)
    if whole is not None:
        return ((tuple(named), whole),)
    blobs = []
    for name, value in named.items():
        each = _dumped({name: value}, min(_EACH, limit), data=False)
        if each is not None:
            limit -= len(each)
            blobs.append(((name,), each))
    return tuple(blobs)


def looked_up_definitions(named: Mapping[str, Any]) -> Blobs:
    """Each by itself, code and constants only: who reads one loads no more than it uses."""
    found = {name: _dumped({name: value}, _EACH, data=False) for name, value in named.items()}
    return tuple(((LOOKED_UP, name), zlib.compress(each)) for name, each in found.items() if each is not None)


def spare_definitions(home: Home, used: Mapping[str, Any]) -> Blobs:
    """Those of ``__main__`` that a task's code does not use, code and constants only: for what a phase unpickles.

    The last answer is kept, as a notebook launches again and again; packed, as every launch stores it and few read it.
    """
    found = {
        name: value for name, value in list(home.names.items()) if isinstance(value, _DEFINED) and name not in used
    }
    if _last_spare:
        known, blobs = _last_spare[0]
        if len(known) == len(found) and all(each() is found.get(name) for name, each in known):
            return blobs
    wanted = {name: value for name, value in found.items() if home.name_of(value) == name}
    blobs = definitions(wanted, limit=_SPARE_LIMIT, data=False) if wanted else ()
    blobs = tuple((names, zlib.compress(each)) for names, each in blobs)
    _last_spare[:] = [(tuple((name, ref(value)) for name, value in found.items()), blobs)]
    return blobs


def _dumped(named: Mapping[str, Any], limit: int, data: bool) -> bytes | None:
    file = Bounded(limit)
    try:
        CodePickler(file, data=data, largest=limit).dump(dict(named))
    except (TooLargeError, pickle.PicklingError, TypeError):
        return None
    except Exception:  # of a person's __reduce__ or __getstate__
        return None
    return file.getvalue()
