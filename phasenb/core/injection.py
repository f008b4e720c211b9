"""Which arguments of a function phasenb itself fills: the ``ctx`` and ``phase`` that are meant for it.

Rules: an argument of that name is the agent's own, and so an ordinary input, where its annotation names only classes
that have nothing to do with ours (another library's ``Context``, ``phase: float``), where its default is neither None
nor one of ours (``phase=0.5``, ``ctx=""``), and where a partial binds it. A protocol says nothing. An annotation that
can't be evaluated (a name for type checkers alone) is another library's where its module never names phasenb.
"""

from __future__ import annotations

import linecache
from collections.abc import Iterator, Mapping
from enum import Enum, EnumMeta
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from phasenb.core.context import Context
from phasenb.core.launch_check import CONTEXT, PHASE

INJECTED: Mapping[str, type] = {CONTEXT: Context, PHASE: str}  # what phasenb fills them with


def is_ours(name: str, annotation: Any, default: Any, *, empty: Any, namespace: Mapping[str, Any]) -> bool:
    """Whether phasenb fills the argument ``name``. ``empty`` stands for an annotation or default that there is not;
    ``namespace`` holds the names of annotations that are text.
    """
    ours = INJECTED.get(name)
    if ours is None or not (default is empty or default is None or isinstance(default, ours)):
        return False
    if annotation is empty:
        return True
    holder = SimpleNamespace(__annotations__={"it": annotation})
    try:
        hint = get_type_hints(holder, globalns=dict(namespace), include_extras=True)["it"]
    except Exception:  # a person's expression may raise anything, and a name for type checkers alone a NameError
        return _knows_phasenb(namespace)
    classes = list(_classes(hint))
    return not classes or any(_related(cls, ours) for cls in classes)


def _knows_phasenb(namespace: Mapping[str, Any]) -> bool:
    """Whether a module's text names phasenb. So it may where nobody can tell, as of a notebook."""
    file = namespace.get("__file__")
    if namespace.get("__name__") == "__main__" or not isinstance(file, str):
        return True
    lines = linecache.getlines(file)
    return not lines or any("phasenb" in line for line in lines)


def _classes(hint: Any) -> Iterator[Any]:
    """The classes that a type is made of, without None; what is no class as it is."""
    origin = get_origin(hint)
    if origin is Union or origin is UnionType:
        for part in get_args(hint):
            yield from _classes(part)
    elif origin is Annotated:
        yield from _classes(get_args(hint)[0])
    elif origin is Literal:
        yield from (type(value) for value in get_args(hint) if value is not None)
    elif hint is not None and hint is not NoneType:
        yield origin or getattr(hint, "__supertype__", hint)  # list[int] is a list, a NewType what it is of


def _related(cls: Any, ours: type) -> bool:
    """Whether a value of ``ours`` may be meant by ``cls``. So it may be where nobody can tell."""
    if not isinstance(cls, type) or cls is Any or getattr(cls, "_is_protocol", False):
        return True
    if isinstance(cls, EnumMeta):
        members: Mapping[str, Enum] = cls.__members__
        return all(isinstance(member.value, ours) for member in members.values())
    try:
        return issubclass(ours, cls) or issubclass(cls, ours)
    except TypeError:  # an abstract class may refuse the question
        return True
