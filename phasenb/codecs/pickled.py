"""Everything else, pickled: what a notebook defines goes by name, with its definition behind (codecs.names)."""

from __future__ import annotations

from typing import Any, BinaryIO

from phasenb.codecs.base import Codec


def _accepts(value: Any) -> bool:
    return True


def _write(value: Any, file: BinaryIO) -> None:
    from phasenb.codecs.names.files import write_value  # late: many a task never pickles a value

    write_value(value, file)


def _read(file: BinaryIO) -> Any:
    from phasenb.codecs.names.reading import read_value

    return read_value(file)  # only ever where the owner's own code runs (workers, clients)


def __getattr__(name: str) -> Any:
    if name == "_code_of_file":  # pickles of earlier releases name it so
        from phasenb.codecs.names.building import code_of_file

        return code_of_file
    raise AttributeError(name)


PICKLE = Codec("pickle", _accepts, _write, _read)
