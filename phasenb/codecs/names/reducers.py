"""How single kinds of values are taken apart: into a reduce value, or NotImplemented for what pickle does itself."""

from __future__ import annotations

import enum
import functools
import io
import operator
import types
from typing import Any

from phasenb.codecs.names import building, parts
from phasenb.codecs.names.refused import Refused
from phasenb.codecs.names.shell import stream_name

Reduced = Any


def as_pickle_does(value: Any) -> Reduced:
    return NotImplemented


def reduce_code(code: types.CodeType) -> Reduced:
    return building.code_of_file, (*parts.reduce_code(code), code.co_filename)


def reduce_file(file: io.TextIOWrapper) -> Reduced:
    name = stream_name(file)
    if name is not None:
        return building.module_attribute, ("sys", name)
    raise Refused(f"an open file, of {getattr(file, 'name', 'no name')}", file)


def reduce_stream(stream: Any) -> Reduced:
    name = stream_name(stream)
    return NotImplemented if name is None else (building.module_attribute, ("sys", name))


def is_member(kind: Any) -> bool:
    return issubclass(kind, enum.Enum) and kind.__reduce_ex__ is enum.Enum.__reduce_ex__


def reduce_member(member: Any) -> Reduced:
    """A notebook's by its name, as a value of ``auto()`` is another one's once a member was put before it. A library's
    so where its value, such as a function, is found by identity only: a copy of that is no member's.
    """
    kind: Any = type(member)
    valued: Any = type(member._value_)
    by_identity = valued.__eq__ is object.__eq__
    if kind.__module__ != "__main__" and not by_identity:
        return NotImplemented
    if member._name_ in kind.__members__:
        return operator.getitem, (kind, member._name_)
    parts = list(member) if isinstance(member, enum.Flag) else []
    if parts and functools.reduce(operator.or_, parts) == member:
        return building.build_flag, tuple(parts)
    return NotImplemented


def reduce_cached_property(found: Any) -> Reduced:
    """Without its lock, which no pickle takes."""
    attributes = {key: value for key, value in vars(found).items() if key not in ("lock", "func")}
    return building.build_cached_property, (type(found), found.func, attributes)


def reduce_exception(error: Any) -> Reduced:
    """Past its own ``__init__``, which pickle calls with ``args``: it may not take those, or add to them once more."""
    kind, arguments, *state = error.__reduce__()
    return building.build_exception, (kind, arguments), *state


def is_made_by_init(kind: Any) -> bool:
    """Whether it is an exception's class whose own ``__init__`` or ``__new__`` pickle would call."""
    if not issubclass(kind, BaseException) or kind.__reduce_ex__ is not object.__reduce_ex__:
        return False
    base = building.built_in_base(kind)
    if kind.__reduce__ is not base.__reduce__ or (kind.__init__ is base.__init__ and kind.__new__ is base.__new__):
        return False
    return not any(vars(cls).get("__slots__") for cls in kind.__mro__)  # what they hold only __init__ makes again


def reduces_itself(kind: Any) -> bool:
    return bool(
        kind.__module__ == "__main__"
        and kind.__reduce_ex__ is object.__reduce_ex__
        and kind.__reduce__ is not object.__reduce__
    )


def take_slots(cls: Any, attributes: dict[str, Any], given: dict[str, Any]) -> None:
    """``__slots__`` count when a class is made, not afterwards; their descriptors come of themselves."""
    if isinstance(vars(cls).get("__dict__"), property):
        given["__dict__"] = vars(cls)["__dict__"]
    slots = vars(cls).get("__slots__")
    if slots is None:
        return
    descriptors = [key for key, value in vars(cls).items() if type(value) is types.MemberDescriptorType]
    given["__slots__"] = slots if isinstance(slots, str | tuple | list | dict) else tuple(descriptors)
    for key in ("__slots__", *descriptors):
        attributes.pop(key, None)
