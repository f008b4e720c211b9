"""What kind of definition a name has, to tell another thing of the same name. Plain data: it is stored with values."""

from __future__ import annotations

import dataclasses
import enum
import inspect
from types import MemberDescriptorType
from typing import Any

Shape = tuple[str, ...]  # its kind, then its fields where it has any
_BY_PLACE = "frozen dataclass with slots"  # whose state is a list of its fields' values


def shape(value: Any) -> Shape:
    """``("dataclass", "n", "tags")``, ``("enum", "A", "B")``, ``("class",)``, ``("function",)``, ``("data",)``."""
    if not isinstance(value, type):
        return ("function",) if callable(value) else ("data",)
    if issubclass(value, enum.Enum):
        return "enum", *value.__members__
    if dataclasses.is_dataclass(value):
        return _dataclass(value), *(field.name for field in dataclasses.fields(value))
    if issubclass(value, tuple) and hasattr(value, "_fields"):
        return "tuple", *value._fields
    for library, fields in (("pydantic", "__pydantic_fields__"), ("attrs", "__attrs_attrs__")):
        found = vars(value).get(fields)
        if found is not None:
            return library, *(each if isinstance(each, str) else each.name for each in found)
    return ("exception",) if issubclass(value, BaseException) else ("class",)


def fits(then: Shape, kind: Any) -> bool:
    """Whether instances that were made of a definition of shape ``then`` can be instances of ``kind``, as far as fields
    tell: they would be neither another thing nor exchanged, and none would be missing.
    """
    now = shape(kind)
    if then == now or then[0] != now[0]:
        return then == now
    if now[0] == _BY_PLACE:
        return False
    if now[0] == "tuple":
        return now[: len(then)] == then
    if len(then) > 1 and len(now) > 1 and set(then[1:]).isdisjoint(now[1:]):
        return False
    added = () if now[0] == "enum" else set(now[1:]).difference(then[1:])
    return all(_has_default(kind, name) for name in added)


def _dataclass(kind: Any) -> str:
    written = getattr(vars(kind).get("__getstate__"), "__module__", None)
    return _BY_PLACE if written == dataclasses.__name__ else "dataclass"


def _has_default(kind: Any, name: str) -> bool:
    """Whether an instance that was not given this field has one all the same, of its class."""
    found = inspect.getattr_static(kind, name, None)
    return found is not None and not isinstance(found, MemberDescriptorType)
