"""Everything else, by cloudpickle: classes and functions of a notebook travel by value."""

from __future__ import annotations

import pickle
from collections import ChainMap
from collections.abc import Callable
from functools import cache
from types import CodeType
from typing import Any, BinaryIO, ClassVar

from phasenb.codecs.base import Codec


@cache
def pickler() -> type[pickle.Pickler]:
    """cloudpickle's, but code objects keep the name of the file that they come from.

    cloudpickle 3.1.3 and later call every file ``<dynamic-code>``, so that equal code gives equal bytes; a traceback
    could not show a person's own lines then.
    """
    import cloudpickle  # late: many a task never pickles a value

    table = cloudpickle.Pickler.dispatch_table
    reduce_code = table[CodeType]

    def reduced(code: CodeType) -> tuple[Any, ...]:
        return _code_of_file, (*reduce_code(code), code.co_filename)

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
        dispatch_table: ClassVar = ChainMap({CodeType: reduced}, table)

    return Pickler


def _code_of_file(make: Callable[..., CodeType], arguments: tuple[Any, ...], filename: str) -> CodeType:
    return make(*arguments).replace(co_filename=filename)


def _accepts(value: Any) -> bool:
    return True


def _write(value: Any, file: BinaryIO) -> None:

    pickler()(file, protocol=5).dump(value)


def _read(file: BinaryIO) -> Any:
    return pickle.load(file)  # noqa: S301 - only ever where the owner's own code runs (workers, clients)


PICKLE = Codec("pickle", _accepts, _write, _read)
