"""What makes functions and classes again, and gives them their state. Pickles name these functions: they stay here.

Repaired beside cloudpickle's own ways: a class keeps its ``__slots__`` and ``__qualname__``, an enum its aliases and
what ``__init__`` sets on its members; neither a metaclass's ``__new__`` nor the notebook's ``__init_subclass__`` is run
again.
"""

from __future__ import annotations

import builtins
import enum
import functools
import operator
import sys
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from phasenb.codecs.names import parts
from phasenb.codecs.names.sentinels import is_heap_type

_hooks = threading.Lock()


def code_of_file(make: Callable[..., types.CodeType], arguments: tuple[Any, ...], filename: str) -> types.CodeType:
    """Code that keeps its file: cloudpickle 3.1.3 and later call every one ``<dynamic-code>``."""
    return make(*arguments).replace(co_filename=filename)


def empty_cell() -> types.CellType:
    return types.CellType()


def module_attribute(module: str, name: str) -> Any:
    __import__(module)
    return getattr(sys.modules[module], name)


def module(name: str) -> types.ModuleType:
    __import__(name)
    return sys.modules[name]


# --- functions -------------------------------------------------------------------------------------------------------


def build_function(code: types.CodeType, names: dict[str, Any], closure: Any) -> types.FunctionType:
    names.setdefault("__builtins__", builtins)
    return types.FunctionType(code, names, None, None, closure)


def fill_function(function: types.FunctionType, state: Any) -> None:
    parts.set_function(function, state)


def build_cached(wrapped: Any, maxsize: int | None, typed: bool) -> Any:
    return functools.lru_cache(maxsize, typed)(wrapped)


def build_dispatch(base: Any) -> Any:
    return functools.singledispatch(base)


def fill_dispatch(function: Any, state: tuple[list[tuple[type, Any]], dict[str, Any]]) -> None:
    implementations, attributes = state
    for cls, implementation in implementations:
        function.register(cls, implementation)
    vars(function).update(attributes)


def fill_attributes(value: Any, attributes: dict[str, Any]) -> None:
    vars(value).update(attributes)


def build_cached_property(kind: Any, function: Any, attributes: dict[str, Any]) -> Any:
    made = kind(function)
    vars(made).update(attributes)
    return made


def build_type_variable(kind: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    made = kind(*arguments, **options)
    made.__module__ = "__main__"
    return made


def built_in_base(kind: Any) -> Any:
    """The nearest class below ``kind`` that no class statement made, and that makes its instances."""
    while is_heap_type(kind):
        kind = kind.__base__
    return kind


def build_exception(kind: Any, arguments: tuple[Any, ...]) -> Any:
    base = built_in_base(kind)
    made = base.__new__(kind, *arguments)
    base.__init__(made, *arguments)
    return made


# --- classes ---------------------------------------------------------------------------------------------------------


def build_class(meta: Any, name: str, bases: tuple[Any, ...], given: dict[str, Any]) -> type:
    """A class with nothing of its own but ``given``, without what its statement would run again."""
    resolved = types.resolve_bases(bases)
    namespace: dict[str, Any] = {sys.intern(key): value for key, value in given.items()}
    library: Any = next(each for each in meta.__mro__ if each.__module__ != "__main__")
    made: type
    with _without_subclass_hooks(resolved):
        if meta.__name__ == "_TypedDictMeta" and dict in resolved:
            # Of typing and typing_extensions. It refuses the bases that it gives its own; all it adds is attributes.
            made = type.__new__(meta, name, resolved, namespace)
        elif library is meta:
            full: Any = meta.__prepare__(name, resolved)
            full.update(namespace)
            made = meta(name, resolved, full)
        else:
            made = library.__new__(meta, name, resolved, namespace)
    return made


def fill_class(cls: type, attributes: dict[str, Any]) -> None:
    parts.set_class(cls, attributes)


def build_enum(bases: tuple[Any, ...], name: str, given: dict[str, Any], members: dict[str, Any]) -> Any:
    """``members``: values by name, aliases too."""
    meta: Any = type(bases[-1])
    namespace = meta.__prepare__(name, bases)
    for key, value in members.items():
        namespace[key] = enum.member(value)  # as it may be a function or another descriptor
    made = meta.__new__(meta, name, bases, namespace)
    for key, value in given.items():
        setattr(made, key, value)
    return made


def build_flag(*parts: Any) -> Any:
    return functools.reduce(operator.or_, parts)


def fill_enum(cls: Any, state: tuple[dict[str, Any], dict[str, dict[str, Any]]]) -> None:
    attributes, members = state
    parts.set_class(cls, attributes)
    for name, own in members.items():
        vars(cls.__members__[name]).update(own)


@contextmanager
def _without_subclass_hooks(bases: tuple[Any, ...]) -> Iterator[None]:
    """Within: a subclass of ``bases`` can be made that no ``__init_subclass__`` of a notebook hears of."""
    hooks = {
        cls: vars(cls)["__init_subclass__"]
        for base in bases
        for cls in base.__mro__
        if cls.__module__ == "__main__" and "__init_subclass__" in vars(cls)
    }
    if not hooks:
        yield
        return
    with _hooks:
        for cls in hooks:
            type.__setattr__(cls, "__init_subclass__", classmethod(lambda cls, **options: None))
        try:
            yield
        finally:
            for cls, hook in hooks.items():
                type.__setattr__(cls, "__init_subclass__", hook)
