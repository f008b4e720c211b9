"""encode and decode: a value as inline JSON, or as a reference to bytes in the owner's folder (dto.values).

Rules:

* What is decoded equals what was encoded and has the same type; the codecs that can't promise that refuse a value,
  and pickle takes it. The one exception is asked for: a picture (codec ``png``) comes back as its PNG bytes.
* An inline value is a copy: changing the original, or what ``decode`` gave, changes nothing stored.
* A dict with the top-level key ``$object`` is never inline: it would read as a reference.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

from phasenb.codecs import json_values
from phasenb.codecs.base import Codec, comes_from, type_name
from phasenb.codecs.json_values import JSON
from phasenb.codecs.npy import NPY
from phasenb.codecs.objects import object_name
from phasenb.codecs.parquet import PARQUET
from phasenb.codecs.pickled import PICKLE
from phasenb.codecs.png import PNG, is_picture
from phasenb.codecs.previews import clip, head, preview
from phasenb.codecs.text import BYTES, TEXT
from phasenb.dto.values import OBJECT_KEY, Artifact, Json, ObjectRef, as_reference
from phasenb.errors import PhasenbError, PickleRefused, UnknownObject, ValueNotStorable

if TYPE_CHECKING:
    from phasenb.codecs.objects import ObjectFolder

CODECS: dict[str, Codec] = {codec.name: codec for codec in (JSON, PARQUET, NPY, PNG, TEXT, BYTES, PICKLE)}
_BY_VALUE = (TEXT, BYTES, NPY, PARQUET, PICKLE)  # in the order they are asked, JSON before them
_READ_BACK = 16_000_000  # bytes of a pickle
_JSON_TYPES = frozenset({dict, list, str, int, float, bool, type(None)})


@dataclass(frozen=True, slots=True)
class Encoded:
    """``value``: inline JSON or reference JSON; ``type``: the qualified type name; ``bytes``: the encoded size."""

    value: Json
    type: str
    bytes: int


def encode(
    value: Any, folder: ObjectFolder, *, inline_bytes: int = 262_144, codec: str | None = None, where: str = "the value"
) -> Encoded:
    """Encode a value; what is not JSON of at most ``inline_bytes`` is written into ``folder``, streamed.

    A named ``codec`` always makes a reference. Raises ValueNotStorable, which says ``where`` the value came from;
    OSError where the folder can't be written.
    """
    if codec is not None:
        return _stored(value, folder, (_named(codec, value, where),), where)
    if type(value) in _JSON_TYPES:
        data = json_values.dump(value)
        if data is not None:
            if len(data) <= inline_bytes and not (type(value) is dict and OBJECT_KEY in value):
                return Encoded(orjson.loads(data), type(value).__name__, len(data))
            if type(value) is not str:
                return _reference(value, JSON, *folder.put(data), _json_preview(data))
    return _stored(value, folder, tuple(each for each in _BY_VALUE if each.accepts(value)), where)


def json_object(value: Json) -> tuple[Encoded, bytes]:
    """A JSON value as an object: its reference, the one that ``encode`` makes of it, and the bytes to be stored."""
    if type(value) is str:
        data = value.encode()
        return _reference(value, TEXT, object_name(data), len(data), preview(value)), data
    data = orjson.dumps(value)
    return _reference(value, JSON, object_name(data), len(data), _json_preview(data)), data


def encode_artifact(name: str, value: Any, folder: ObjectFolder, codec: str | None = None) -> Artifact:
    """A named artifact, always in ``folder``. Figures and images become PNG files unless ``codec`` says else.

    Raises ValueNotStorable.
    """
    if codec is None and is_picture(value):
        codec = PNG.name
    encoded = encode(value, folder, inline_bytes=-1, codec=codec, where=f"artifact {name!r}")
    return Artifact.model_validate({**encoded.value, "name": name})


def decode(value: Json, folder: ObjectFolder, *, allow_pickle: bool = True) -> Any:
    """The value again: always a fresh object. Raises UnknownObject, also for a damaged file, and whatever unpickling a
    person's class raises. Unpickling can run any code: without ``allow_pickle`` such a value raises PickleRefused.
    """
    reference = as_reference(value)
    if reference is None:
        return orjson.loads(orjson.dumps(value)) if type(value) in (dict, list) else value
    codec = CODECS.get(reference.codec)
    if codec is None:
        problem = f"its codec {reference.codec!r} is of another release"
        raise ValueNotStorable("the stored value", reference.type, problem)
    if codec is PICKLE and not allow_pickle:
        raise PickleRefused(reference.type, codec.name)
    with folder.open(reference.hash) as file:
        _check_whole(file, reference)
        return codec.read(file)


def check_readable(encoded: Encoded, folder: ObjectFolder, where: str) -> None:
    """Read a pickled value, up to ``_READ_BACK`` bytes, where it was written: only here somebody can do something about
    it. That runs what its classes run when they are made again, which objects that are shared may feel.

    Raises ValueNotStorable where it can't be read, which says ``where`` it came from.
    """
    reference = as_reference(encoded.value)
    if reference is None or reference.codec != PICKLE.name or reference.bytes > _READ_BACK:
        return
    try:
        decode(encoded.value, folder)
    except (OSError, MemoryError, PhasenbError):
        raise  # of this machine, not of the value
    except Exception as error:
        problem = (
            f"it can be pickled, and not unpickled: {type(error).__name__}: {error}; its class needs a __reduce__ or "
            "__getnewargs__ that gives what makes it again"
        )
        raise ValueNotStorable(where, reference.type, clip(problem)) from error


def _check_whole(file: BinaryIO, reference: ObjectRef) -> None:
    """Raises UnknownObject where a file is shorter or longer than what was stored: many codecs would take it. A client
    need not say how long an input is: 0 is not known.
    """
    if reference.bytes and file.seekable():
        size = file.seek(0, os.SEEK_END)
        if size != reference.bytes:
            raise UnknownObject(reference.hash, damage=f"its file has {size:,} of {reference.bytes:,} bytes")
        file.seek(0)


def _named(name: str, value: Any, where: str) -> Codec:
    codec = CODECS.get(name)
    if codec is None:
        raise ValueNotStorable(where, type_name(value), f"there is no codec {name!r}, only {', '.join(CODECS)}")
    if not codec.accepts(value):
        raise ValueNotStorable(where, type_name(value), f"codec {name!r} can't give it back as it is")
    return codec


def _stored(value: Any, folder: ObjectFolder, codecs: tuple[Codec, ...], where: str) -> Encoded:
    """Write with the first codec that can. A codec's refusal is final only where no other is left."""
    for codec in codecs:
        try:
            stored = folder.write(partial(codec.write, value))
        except (OSError, MemoryError):
            raise  # of this machine, not of the value
        except Exception as error:
            if codec is codecs[-1]:
                problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                raise ValueNotStorable(where, type_name(value), clip(problem)) from error
        else:
            return _reference(value, codec, *stored, preview(value))
    raise AssertionError("pickle is asked last, and accepts everything")


def _json_preview(data: bytes) -> str:
    return clip(data[:8000].decode(errors="ignore"))


def _reference(value: Any, codec: Codec, hash: str, size: int, shown: str) -> Encoded:
    name = type_name(value)
    said = {"codec": codec.name, "type": name, "bytes": size, "shape": _shape(value), "preview": shown}
    reference = ObjectRef.model_validate({OBJECT_KEY: hash, **said, "head": head(value)})
    return Encoded(reference.as_json(), name, size)


def _shape(value: Any) -> tuple[int, ...] | None:
    if comes_from(value, "pandas") or comes_from(value, "numpy"):
        shape = getattr(value, "shape", None)
        if isinstance(shape, tuple):
            return tuple(int(length) for length in shape)
    return None
