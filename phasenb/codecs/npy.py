"""Arrays as NumPy's own .npy format: exact for plain dtypes; neither objects nor subclasses of ndarray.

NumPy is imported inside functions: it is there only where somebody made an array.
"""

from __future__ import annotations

from typing import Any, BinaryIO

from phasenb.codecs.base import Codec, comes_from

_KINDS = frozenset("biufcmMSUV")


def _accepts(value: Any) -> bool:
    if not comes_from(value, "numpy"):
        return False
    import numpy as np

    return type(value) is np.ndarray and _exact_dtype(value.dtype)


def _exact_dtype(dtype: Any) -> bool:
    """The dtype's description in the file's header must give it back: metadata and alignment are not in it."""
    from numpy.lib.format import descr_to_dtype, dtype_to_descr

    if dtype.hasobject or dtype.kind not in _KINDS or _loses_detail(dtype):
        return False
    # Foreign dtypes (bfloat16) call themselves void, and come back as one.
    return bool(descr_to_dtype(dtype_to_descr(dtype)) == dtype)


def _loses_detail(dtype: Any) -> bool:
    if dtype.metadata or dtype.isalignedstruct:
        return True
    if dtype.subdtype is not None:
        return _loses_detail(dtype.subdtype[0])
    return any(_loses_detail(field[0]) for field in (dtype.fields or {}).values())


def _write(value: Any, file: BinaryIO) -> None:
    from numpy.lib.format import write_array

    write_array(file, value, allow_pickle=False)


def _read(file: BinaryIO) -> Any:
    from numpy.lib.format import read_array

    return read_array(file, allow_pickle=False)


NPY = Codec("npy", _accepts, _write, _read)
