"""What kind of definition a name has, to tell another thing of the same name. Plain data: it is stored with values."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from typing import Any

Shape = tuple[str, ...]  # its kind, then its fields where it has any
Defaults = dict[str, Callable[[], Any]]
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


def missing(then: Shape, kind: Any) -> Defaults | None:
    """What makes the fields of ``kind`` that instances of a definition of shape ``then`` lack. None where these can't
    be instances of ``kind``, as far as fields tell: it is another thing, fields would be exchanged, or a new one has no
    default.
    """
    now = shape(kind)
    if then == now:
        return {}
    if then[0] != now[0] or now[0] == _BY_PLACE:
        return None
    if now[0] == "tuple":
        return {} if now[: len(then)] == then else None
    if len(then) > 1 and len(now) > 1 and set(then[1:]).isdisjoint(now[1:]):
        return None
    added = [name for name in now[1:] if name not in then[1:]] if now[0] in _DEFAULTS else []
    found = {name: made for name in added if (made := _DEFAULTS[now[0]](kind, name)) is not None}
    return found if len(found) == len(added) else None


def _dataclass(kind: Any) -> str:
    written = getattr(vars(kind).get("__getstate__"), "__module__", None)
    return _BY_PLACE if written == dataclasses.__name__ else "dataclass"


def _of_dataclass(kind: Any, name: str) -> Callable[[], Any] | None:
    field = next(field for field in dataclasses.fields(kind) if field.name == name)
    if field.default is not dataclasses.MISSING:
        return lambda: field.default
    return None if field.default_factory is dataclasses.MISSING else field.default_factory


def _of_attrs(kind: Any, name: str) -> Callable[[], Any] | None:
    default = next(each.default for each in kind.__attrs_attrs__ if each.name == name)
    factory = getattr(default, "factory", None)
    if factory is not None:
        return None if default.takes_self else factory
    return None if type(default).__name__ == "_Nothing" else lambda: default


def _of_pydantic(kind: Any, name: str) -> Callable[[], Any] | None:
    field = kind.__pydantic_fields__[name]
    return None if field.is_required() else lambda: field.get_default(call_default_factory=True)


_DEFAULTS: dict[str, Callable[[Any, str], Callable[[], Any] | None]] = {
    "dataclass": _of_dataclass,
    "attrs": _of_attrs,
    "pydantic": _of_pydantic,
}
