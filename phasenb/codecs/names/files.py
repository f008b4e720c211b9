"""Values and code written into files, with their tails."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

from phasenb.codecs.names import parts
from phasenb.codecs.names.bounded import Bounded
from phasenb.codecs.names.definitions import definitions, looked_up_definitions, spare_definitions
from phasenb.codecs.names.home import Blobs, current
from phasenb.codecs.names.shapes import shape
from phasenb.codecs.names.tail import Tail, write_tail
from phasenb.codecs.names.writing import CodePickler, PlainPickler, ValuePickler


def write_value(value: Any, file: BinaryIO) -> None:
    """The value as a pickle; what it names of ``__main__`` is defined behind it. Raises what pickling raises."""
    if not parts.usable:
        PlainPickler(file, protocol=5).dump(value)
        return
    pickler = ValuePickler(file)
    pickler.dump(value)
    if pickler.named:
        shapes = {name: shape(each) for name, each in pickler.named.items()}
        write_tail(file, Tail(shapes, definitions(pickler.named)))


def write_code(code: Any, limit: int | None = None, *, spare: bool = True) -> bytes:
    """Code by value. ``spare``: with the definitions of ``__main__`` that it does not name.

    Raises TooLargeError for more than ``limit`` bytes without those, and what pickling raises.
    """
    file = io.BytesIO() if limit is None else Bounded(limit)
    if not parts.usable:
        PlainPickler(file, protocol=5).dump(code)
        return file.getvalue()
    pickler = CodePickler(file)
    pickler.dump(code)
    data = file.getvalue()
    blobs: Blobs = ()
    if spare:
        beside = {name: kind for name, kind in pickler.looked_up.items() if name not in pickler.named}
        blobs = (*looked_up_definitions(beside), *spare_definitions(current(), pickler.named))
    if blobs:
        behind = io.BytesIO()
        write_tail(behind, Tail({}, blobs))
        data += behind.getvalue()
    return data
