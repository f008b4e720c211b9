"""Everything else, by cloudpickle: classes and functions of a notebook travel by value."""

from __future__ import annotations

import pickle
from typing import Any, BinaryIO

from phasenb.codecs.base import Codec


def _accepts(value: Any) -> bool:
    return True


def _write(value: Any, file: BinaryIO) -> None:
    import cloudpickle  # late: many a task never pickles a value

    cloudpickle.dump(value, file, protocol=5)


def _read(file: BinaryIO) -> Any:
    return pickle.load(file)  # noqa: S301 - only ever where the owner's own code runs (workers, clients)


PICKLE = Codec("pickle", _accepts, _write, _read)
