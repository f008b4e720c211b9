"""Values and code written into files, with their tails."""

from __future__ import annotations

import io
import pickle
from typing import Any, BinaryIO

from phasenb.codecs.names import parts
from phasenb.codecs.names.bounded import Bounded, Kept
from phasenb.codecs.names.definitions import definitions, spare_definitions
from phasenb.codecs.names.home import current
from phasenb.codecs.names.reading import Loader
from phasenb.codecs.names.shapes import shape
from phasenb.codecs.names.tail import Tail, write_tail
from phasenb.codecs.names.writing import CodePickler, PlainPickler, ValuePickler

_READ_BACK = 16_000_000


def write_value(value: Any, file: BinaryIO) -> None:
    """The value as a pickle; what it names of ``__main__`` is defined behind it.

    What the notebook's own code makes again is read here once, up to ``_READ_BACK`` bytes: its ``__new__`` or
    ``__reduce__`` may not fit, and only here is somebody who can do something about it. Raises what pickling raises.
    """
    if not parts.usable:
        PlainPickler(file, protocol=5).dump(value)
        return
    kept = Kept(file, _READ_BACK)
    pickler = ValuePickler(kept)
    pickler.dump(value)
    if pickler.doubtful:
        _read_back(kept.bytes())
    if pickler.named:
        shapes = {name: shape(each) for name, each in pickler.named.items()}
        write_tail(file, Tail(shapes, definitions(pickler.named)))


def _read_back(data: bytes | None) -> None:
    """Raises PicklingError where ``data`` does not unpickle. None is too large to try."""
    if data is None:
        return
    try:
        Loader(io.BytesIO(data), current(), Tail()).load()
    except MemoryError:
        raise  # of this machine, not of the value
    except Exception as error:
        raise pickle.PicklingError(
            f"it can be pickled, and not unpickled: {type(error).__name__}: {error}; its class needs a __reduce__ or "
            "__getnewargs__ that gives what makes it again"
        ) from error


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
    blobs = spare_definitions(current(), pickler.named) if spare else ()
    if blobs:
        behind = io.BytesIO()
        write_tail(behind, Tail({}, blobs))
        data += behind.getvalue()
    return data
