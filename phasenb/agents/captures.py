"""What code takes along when it travels by value: the variables, defaults and closures of notebook functions.

Rule: this sees what the pickler would see (codecs.names), without pickling: a function or class of ``__main__`` (or one
that can't be found by its name) goes by value with everything it uses, and so do its helpers; what a module on the path
holds goes by name. Sizes are lower bounds, found without copying: a gigabyte is never pickled only to be refused.
"""

from __future__ import annotations

import copyreg
import dis
import functools
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from phasenb.codecs.names.shell import stand_in
from phasenb.codecs.names.writing import LRU, goes_by_name, is_dispatch, named_in_texts

_FEW = 10_000  # elements of a container that are looked at one by one
_MANY = 50_000
_TABLES = frozenset(("numpy", "pandas", "polars", "pyarrow", "torch"))  # they pack well, and their sizes can be told
_GLOBAL_READS = frozenset(("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL"))
_LEAVES = (type(None), bool, int, float, complex, str, bytes, bytearray, types.ModuleType, types.BuiltinFunctionType)

_CONTAINERS = (dict, list, tuple, set, frozenset)

_globals_of: WeakKeyDictionary[types.CodeType, tuple[str, ...]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Part:
    """Something that goes along with something else. ``label`` is how it is written there: ``df``, ``.lock``, ``[0]``.

    ``function``: the name of the function that uses it as a variable, or None for an attribute or element.
    """

    label: str
    value: Any
    function: str | None = None


def parts(value: Any, *, deep: bool = False) -> Iterator[Part]:
    """What goes along with ``value`` by value, one level deep. Nothing for what goes by name, and for plain data.

    An object that says itself how it is pickled is only looked into when ``deep``: what it leaves out does not travel.
    """
    kind = type(value)
    if issubclass(kind, _LEAVES) or stand_in(value) is not None:
        return iter(())
    if kind is types.FunctionType:
        if is_dispatch(value):
            return (Part("", each) for each in value.registry.values())
        return _variables(value) if by_value(value) else iter(())
    if issubclass(kind, type):
        return _members(value) if by_value(value) else iter(())
    wrapped = _wrapped(value, kind)
    if wrapped is not None:
        return (Part("", inner) for inner in wrapped)
    return _contents(value, kind, deep)


def walk(root: Any) -> Iterator[Part]:
    """All parts below ``root``, each object once, nearest first. Ends after _MANY: nobody names what is that deep."""
    seen = {id(root)}
    level = [root]
    while level:
        deeper = []
        for value in level:
            for part in parts(value):
                if id(part.value) not in seen:
                    seen.add(id(part.value))
                    yield part
                    deeper.append(part.value)
            if len(seen) > _MANY:
                return
        level = deeper


def by_value(code: Any) -> bool:
    """Whether a function or class travels as its code, not as a name to import."""
    return code.__module__ != "builtins" and not goes_by_name(code)


def size_of(value: Any, limit: int) -> int:
    """Bytes that ``value`` takes at least. Stops counting above ``limit``."""
    return _size(value, limit, 4)


def _size(value: Any, limit: int, depth: int) -> int:
    kind = type(value)
    if issubclass(kind, str | bytes | bytearray):
        return len(value)
    if issubclass(kind, _CONTAINERS):
        size: int = 2 * len(value)  # no element takes less when pickled
        if depth and len(value) <= _FEW:
            for element in list(value.values() if issubclass(kind, dict) else value):
                if size > limit:
                    break
                size += _size(element, limit, depth - 1)
        return size
    if any(base.__module__.partition(".")[0] in _TABLES for base in type(value).__mro__):
        return _table_size(value)
    return 0


def _table_size(value: Any) -> int:
    """Bytes in memory of an array, frame or tensor: each library has its own word for them."""
    for name in ("memory_usage", "estimated_size", "nbytes"):
        size = getattr(value, name, None)
        if size is not None:
            size = size() if callable(size) else size
            return int(size.sum() if hasattr(size, "sum") else size)
    return 0


def _members(cls: type) -> Iterator[Part]:
    for name, member in list(vars(cls).items()):
        if not name.startswith("__") or isinstance(member, types.FunctionType):
            yield Part(f".{name}", member)
    for base in cls.__bases__:
        yield Part("", base)


def _wrapped(value: Any, kind: type) -> tuple[Any, ...] | None:
    """What a method or descriptor is made of; None for anything else."""
    if kind is types.MethodType:
        return value.__func__, value.__self__
    if issubclass(kind, staticmethod | classmethod):
        return (value.__func__,)
    if issubclass(kind, property):
        return value.fget, value.fset, value.fdel
    if kind is LRU:
        return (value.__wrapped__,)
    if issubclass(kind, functools.cached_property):
        return (value.func,)
    return None


def _variables(function: types.FunctionType) -> Iterator[Part]:
    name = function.__qualname__.rpartition("<locals>.")[2]
    for variable in _global_names(function.__code__):
        if variable in function.__globals__:
            yield Part(variable, function.__globals__[variable], name)
    for variable, value in named_in_texts(function).items():
        yield Part(variable, value, name)
    for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield Part(variable, cell.cell_contents, name)
        except ValueError:  # a name that is not bound yet
            continue
    defaults = function.__defaults__ or ()
    arguments = function.__code__.co_varnames[: function.__code__.co_argcount]
    for variable, default in zip(arguments[len(arguments) - len(defaults) :], defaults, strict=True):
        yield Part(variable, default, name)
    for variable, default in (function.__kwdefaults__ or {}).items():
        yield Part(variable, default, name)
    for attribute, member in vars(function).items():
        yield Part(f".{attribute}", member)


def _contents(value: Any, kind: type, deep: bool) -> Iterator[Part]:
    if issubclass(kind, functools.partial):
        yield Part("", value.func)
        yield Part(".args", value.args)
        yield Part(".keywords", value.keywords)
    elif issubclass(kind, _CONTAINERS):
        if len(value) <= _FEW:
            named = value.items() if issubclass(kind, dict) else enumerate(value)
            for key, element in list(named):
                yield Part(f"[{key!r:.40}]", element)
    else:
        if deep or _pickles_its_dict(value):
            for attribute, member in list(_attributes(value).items()):
                yield Part(f".{attribute}", member)
        if by_value(kind):
            yield Part("", kind)


def _attributes(value: Any) -> dict[str, Any]:
    """The object's own dict, whatever its class makes of attribute access: a proxy is not woken up."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, dict) else {}


def _pickles_its_dict(value: Any) -> bool:
    kind: Any = type(value)
    return bool(
        kind.__reduce_ex__ is object.__reduce_ex__
        and kind.__reduce__ is object.__reduce__
        and kind.__getstate__ is object.__getstate__
        and kind not in copyreg.dispatch_table
    )


def _global_names(code: types.CodeType) -> tuple[str, ...]:
    """The globals that ``code`` and the functions inside it read, in the order of first use."""
    names = _globals_of.get(code)
    if names is None:
        found = {
            instruction.argval: None
            for instruction in dis.get_instructions(code)
            if instruction.opname in _GLOBAL_READS
        }
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                found.update(dict.fromkeys(_global_names(constant)))
        names = _globals_of[code] = tuple(found)
    return names
