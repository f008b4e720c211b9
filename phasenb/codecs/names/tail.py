"""What follows behind a pickle that names things of a notebook: their shapes and their definitions.

The file ends with the length of that and a mark. A pickle ends with a full stop, so one without a tail is never
mistaken for one with it; and a plain ``pickle.load`` stops before the tail.
"""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass, field
from typing import BinaryIO

from phasenb.codecs.names.home import Blobs
from phasenb.codecs.names.shapes import Shape

LOOKED_UP = ""  # the first name of a definition that is loaded with the code it stands behind
_MARK = b"\0PNDEF1\n"
_END = struct.Struct("<Q8s")


@dataclass(frozen=True, slots=True)
class Tail:
    """``shapes``: how the named things were defined when this was written. ``blobs``: definitions, by their names."""

    shapes: dict[str, Shape] = field(default_factory=dict)
    blobs: Blobs = ()


def write_tail(file: BinaryIO, tail: Tail) -> None:
    data = pickle.dumps((tail.shapes, tail.blobs), 5)
    file.write(data)
    file.write(_END.pack(len(data), _MARK))


def read_tail(file: BinaryIO) -> Tail:
    """The tail of ``file``, empty where it has none. Leaves the file at its start."""
    tail = Tail()
    size = file.seek(0, 2)
    if size > _END.size:
        file.seek(size - _END.size)
        length, mark = _END.unpack(file.read(_END.size))
        if mark == _MARK:
            file.seek(size - _END.size - length)
            tail = Tail(*pickle.loads(file.read(length)))  # noqa: S301 - of the pickle before it, loaded next
    file.seek(0)
    return tail
