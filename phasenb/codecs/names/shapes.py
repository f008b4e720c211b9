"""What kind of definition a name has, to tell another thing of the same name. Plain data: it is stored with values."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

Shape = tuple[str, ...]  # its kind, then its fields where it has any


def shape(value: Any) -> Shape:
    """``("dataclass", "n", "tags")``, ``("enum", "A", "B")``, ``("class",)``, ``("function",)``, ``("data",)``."""
    if not isinstance(value, type):
        return ("function",) if callable(value) else ("data",)
    if issubclass(value, enum.Enum):
        return "enum", *value.__members__
    if dataclasses.is_dataclass(value):
        return "dataclass", *(field.name for field in dataclasses.fields(value))
    if issubclass(value, tuple) and hasattr(value, "_fields"):
        return "tuple", *value._fields
    for library, fields in (("pydantic", "__pydantic_fields__"), ("attrs", "__attrs_attrs__")):
        found = vars(value).get(fields)
        if found is not None:
            return library, *(each if isinstance(each, str) else each.name for each in found)
    return ("exception",) if issubclass(value, BaseException) else ("class",)


def unrelated(then: Shape, now: Shape) -> bool:
    """Whether these can't be two versions of one definition: another kind, or fields of which none is shared."""
    if then[0] != now[0]:
        return True
    return len(then) > 1 and len(now) > 1 and set(then[1:]).isdisjoint(now[1:])
