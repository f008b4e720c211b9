"""Picklers for a notebook's code and for values. What they call when they are read is in ``building`` and ``marks``.

Rules: what an importable module has goes by name, also modules themselves and a library's sentinels. What ``__main__``
defines goes by value in code, by name in values. Functions of ``__main__`` share the reader's ``__main__`` afterwards.
"""

from __future__ import annotations

import builtins
import copyreg
import enum
import functools
import io
import operator
import sys
import types
import typing
from collections import ChainMap
from collections.abc import Callable
from typing import Any, BinaryIO, ClassVar

import cloudpickle

from phasenb.codecs.names import building, marks, parts, reducers
from phasenb.codecs.names.annotations import (
    annotated_names,
    formula_names,
    inner_annotated_names,
    queried_names,
    used_names,
)
from phasenb.codecs.names.bounded import TooLargeError
from phasenb.codecs.names.home import Home, at, current
from phasenb.codecs.names.plain import holds_secret, is_plain
from phasenb.codecs.names.refused import is_memory_map, is_of_shell, refuse_memory_map, refuse_shell
from phasenb.codecs.names.sentinels import is_bare, known_place, may_be_sentinel, places_of
from phasenb.codecs.names.shell import is_stream, stand_in

LRU = type(functools.lru_cache(len))
_DISPATCH = functools.singledispatch(len).__code__  # type: ignore[attr-defined]  # a function, whatever it is typed as
_TYPE_VARIABLES = tuple(
    getattr(typing, name) for name in ("TypeVar", "ParamSpec", "TypeVarTuple", "NewType") if hasattr(typing, name)
)
_OF_ENUM = ("_value_", "_name_", "__objclass__", "_sort_order_")
_OF_CACHE = ("__wrapped__", "cache_parameters")  # what functools.lru_cache sets itself
_OF_DISPATCH = ("register", "dispatch", "registry", "_clear_cache")

_OF_MODULE = ("__name__", "__builtins__", "__spec__", "__loader__", "__package__")  # the reader's own

Reduced = reducers.Reduced


def goes_by_name(code: Any) -> bool:
    """Whether a function or class can be imported by its name, and is not of ``__main__``."""
    module_name, path = code.__module__, getattr(code, "__qualname__", None)
    module = None if module_name in (None, "__main__") else sys.modules.get(module_name)
    if module is None or not isinstance(path, str) or _is_shipped(module_name):
        return False
    return at(vars(module), path) is code


def _is_shipped(module_name: str) -> bool:
    """Whether a person has registered the module, or its package, with cloudpickle to go by value."""
    shipped = cloudpickle.list_registry_pickle_by_value()
    return bool(shipped) and any(f"{module_name}.".startswith(f"{each}.") for each in shipped)


def named_in_texts(function: types.FunctionType) -> dict[str, Any]:
    """The globals that it reads, as libraries do that look them up in the frame of their caller, by a text of its."""
    code, names = function.__code__, function.__globals__
    queried = {name: names[name] for name in queried_names(code) if name in names}
    called = {name: names[name] for name in formula_names(code) if isinstance(names.get(name), _CODE)}
    return called | queried


def is_dispatch(function: Any) -> bool:
    """Whether ``functools.singledispatch`` made it."""
    return getattr(function, "__code__", None) is _DISPATCH and hasattr(function, "registry")


_TABLE = ChainMap({types.CodeType: reducers.reduce_code, io.TextIOWrapper: reducers.reduce_file}, parts.REDUCERS)


class PlainPickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """cloudpickle's, but code keeps the name of the file that it comes from, and an open file is refused."""

    dispatch_table: ClassVar = _TABLE


class NamesPickler(PlainPickler):
    """``named``: what of ``__main__`` went along, by name; ``looked_up``: what may be needed beside it.

    ``data``: whether all that is used goes along, or code and plain constants only, none that looks like a secret.
    ``largest``: the bytes that one array may have.
    """

    by_reference: ClassVar = False

    def __init__(self, file: BinaryIO, *, data: bool = True, largest: int | None = None) -> None:
        super().__init__(file, protocol=5)
        self.named: dict[str, Any] = {}
        self.looked_up: dict[str, type] = {}
        self._home: Home = current()
        self._main = self._home.all_names()
        self._data = data
        self._largest = largest
        self._plans: dict[int, Callable[[Any], Reduced]] = {
            id(type): self._class,
            id(types.FunctionType): self._function,
            id(types.CodeType): reducers.as_pickle_does,
            id(types.MethodType): self._method,
            id(types.ModuleType): self._module,
            id(LRU): self._cached,
        }
        self._kinds: list[type] = []  # kept, so that no id is used again
        self._sentinels: dict[type, dict[int, Any]] = {}
        self._cells: dict[int, tuple[types.CellType, types.CellType]] = {}
        self._other_globals: dict[int, dict[str, Any]] = {}

    def reducer_override(self, value: Any) -> Reduced:
        kind = type(value)
        plan = self._plans.get(id(kind))  # by id: a metaclass may make its classes unhashable
        if plan is None:
            plan = self._plans[id(kind)] = self._plan(kind)
            self._kinds.append(kind)
        return plan(value)

    def _plan(self, kind: Any) -> Callable[[Any], Reduced]:
        plans: tuple[tuple[bool, Callable[[Any], Reduced]], ...] = (
            (issubclass(kind, type), self._class),
            (issubclass(kind, types.ModuleType), self._module),
            (kind in _TYPE_VARIABLES, self._type_variable),
            (issubclass(kind, functools.cached_property), reducers.reduce_cached_property),
            (is_of_shell(kind), refuse_shell),
            (not self.by_reference and is_memory_map(kind), refuse_memory_map),
            (is_stream(kind), reducers.reduce_stream),
            (self._largest is not None and hasattr(kind, "nbytes"), self._array),
            (reducers.is_member(kind), reducers.reduce_member),
            (reducers.is_made_by_init(kind), reducers.reduce_exception),
            (may_be_sentinel(kind, _TABLE), self._sentinel),
            (reducers.reduces_itself(kind), self._self_reduced),
        )
        return next((plan for fits, plan in plans if fits), reducers.as_pickle_does)

    # --- names ---------------------------------------------------------------------------------------------------

    def _reference(self, value: Any) -> Reduced:
        """By name where values do so and it has one, else None."""
        if not self.by_reference or value.__module__ != "__main__":
            return None
        name = self._home.name_of(value)
        if name is not None:
            self.named[name] = value
            # What any unpickler can read, where the process's own __main__ is meant.
            ours = self._home.behind is None and isinstance(value, type | types.FunctionType)
            return NotImplemented if ours else (marks.named, (name,))
        name = self._home.foreign.get(value) if isinstance(value, type) else None
        if name is not None:
            self.named[name] = value
            return marks.named, (name,)
        return None

    def _made(self, value: Any, build: Any, arguments: tuple[Any, ...], fill: Any, state: Any, names: Any) -> Reduced:
        """By value: made empty, and filled once it can be referred to."""
        name = self._home.name_of(value)
        ident = None
        if isinstance(value, type):
            name = name or self._home.foreign.get(value)
            ident = self._home.id_of(value)
        if name is not None:
            self.named[name] = value
        return marks.make, (name, ident, build, arguments), (fill, state, names), None, None, marks.fill

    def _needed(self, code: Any) -> dict[str, Any]:
        """What code needs by name and not by its bytecode: its owner, and what its string annotations name."""
        names: dict[str, Any] = {}
        for main in self._main:
            owner, _, inner = code.__qualname__.partition(".")
            if inner and owner in main and code.__module__ == "__main__":
                names.setdefault(owner, main[owner])
            for word in annotated_names(code):
                if _may_annotate(main.get(word)):
                    names.setdefault(word, main[word])
        return names

    def _needed_inside(self, code: types.CodeType) -> dict[str, Any]:
        """The type variables that the functions it makes name in annotations. Classes that they may name, and derived
        ones where it asks for subclasses, are ``looked_up``: a text may mean another thing.
        """
        names: dict[str, Any] = {}
        words, subclasses = inner_annotated_names(code), "__subclasses__" in used_names(code)
        for main in self._main:
            for word in words & main.keys():
                if isinstance(main[word], _TYPE_VARIABLES):
                    names.setdefault(word, main[word])
                elif isinstance(main[word], type):
                    self.looked_up[word] = main[word]
            for name, value in list(main.items()) if subclasses else ():
                if isinstance(value, type) and value.__base__ is not object and self._home.name_of(value) == name:
                    self.looked_up[name] = value
        return names

    def _added_builtins(self, code: types.CodeType) -> dict[str, Any]:
        """What a tool has put among Python's own names, as IPython its ``display``."""
        found = {word: vars(builtins)[word] for word in used_names(code) & vars(builtins).keys()}
        return {word: value for word, value in found.items() if type(value) is types.FunctionType}

    # --- code ----------------------------------------------------------------------------------------------------

    def _class(self, cls: Any) -> Reduced:
        if cls.__module__ == "builtins" or goes_by_name(cls):
            return super().reducer_override(cls)
        generic = vars(cls).get("__pydantic_generic_metadata__")
        if generic and generic["origin"] is not None:  # Page[int], which pydantic makes once
            return operator.getitem, (generic["origin"], generic["args"])
        reference = self._reference(cls)
        if reference is not None:
            return reference
        attributes = parts.class_state(cls)
        if not self._data:
            attributes = {key: value for key, value in attributes.items() if not holds_secret(key, value)}
        names = self._needed(cls)
        given = {key: vars(cls)[key] for key in ("__module__",) if key in vars(cls)}
        given["__qualname__"] = cls.__qualname__
        if issubclass(cls, enum.Enum):
            members = {key: member._value_ for key, member in cls.__members__.items()}
            own = {
                key: {name: value for name, value in vars(member).items() if name not in _OF_ENUM}
                for key, member in cls.__members__.items()
                if key == member._name_
            }
            attributes = {key: value for key, value in attributes.items() if key not in members}
            arguments = (cls.__bases__, cls.__name__, given, members)
            return self._made(cls, building.build_enum, arguments, building.fill_enum, (attributes, own), names)
        if "__orig_bases__" in vars(cls):  # Generic reads them when its subclass is made
            given["__orig_bases__"] = attributes.pop("__orig_bases__", cls.__orig_bases__)
        reducers.take_slots(cls, attributes, given)
        made_of = (type(cls), cls.__name__, cls.__bases__, given)
        generated = {key: value for key, value in attributes.items() if _is_generated(key, value)}
        others = {key: value for key, value in attributes.items() if key not in generated}
        return self._made(cls, building.build_class, made_of, _AfterGenerated(cls, generated), others, names)

    def _function(self, function: types.FunctionType) -> Reduced:
        standing_in = None if self.by_reference else stand_in(function)
        if standing_in is not None:
            return building.module_attribute, (standing_in.__module__, standing_in.__name__)
        if goes_by_name(function):
            return NotImplemented
        reference = self._reference(function)
        if reference is not None:
            return reference
        if is_dispatch(function):
            return self._dispatch(function)
        state, slots = parts.function_state(function)
        reads = {**slots["__globals__"], **named_in_texts(function)}
        used = {name: value for name, value in reads.items() if self._takes(name, value)}
        names = {}
        of_main = any(function.__globals__ is main for main in self._main)
        if of_main:
            names = {**self._added_builtins(function.__code__), **self._needed_inside(function.__code__)}
            names |= self._needed(function)
            names |= {key: value for key, value in used.items() if key not in _OF_MODULE}
            used = {}
        slots["__globals__"] = used
        where = _MAIN_NAMES if of_main else self._others(function)
        closure = function.__closure__ and tuple([self._cell(cell) for cell in function.__closure__])
        arguments = (function.__code__, where, closure)
        return self._made(function, building.build_function, arguments, building.fill_function, (state, slots), names)

    def _takes(self, name: str, value: Any) -> bool:
        if self._data or isinstance(value, _CODE):
            return True
        return is_plain(value) and not holds_secret(name, value)  # nobody asked for it to be stored

    def _cell(self, cell: types.CellType) -> types.CellType:
        """An empty one in its place, the same for all functions that share it: its content may be the function."""
        return self._cells.setdefault(id(cell), (_new_cell(), cell))[0]

    def _others(self, function: types.FunctionType) -> dict[str, Any]:
        """The globals to be of a function that is not of ``__main__``, shared as they are here."""
        names = function.__globals__
        own: dict[str, Any] = {
            key: names[key] for key in ("__package__", "__name__", "__path__", "__file__") if key in names
        }
        return self._other_globals.setdefault(id(names), own)

    def _dispatch(self, function: Any) -> Reduced:
        registry = dict(function.registry)
        base = registry.pop(object)
        attributes = {key: value for key, value in vars(function).items() if key not in _OF_DISPATCH}
        state = (list(registry.items()), attributes)
        return self._made(function, building.build_dispatch, (base,), building.fill_dispatch, state, {})

    def _cached(self, cached: Any) -> Reduced:
        if goes_by_name(cached):
            return NotImplemented
        reference = self._reference(cached)
        if reference is not None:
            return reference
        options = cached.cache_parameters()
        arguments = (cached.__wrapped__, options["maxsize"], options["typed"])
        attributes = {key: value for key, value in vars(cached).items() if key not in _OF_CACHE}
        return self._made(cached, building.build_cached, arguments, building.fill_attributes, attributes, {})

    def _method(self, method: types.MethodType) -> Reduced:
        if not self.by_reference:
            standing_in = stand_in(method)
            if standing_in is not None:
                return building.module_attribute, (standing_in.__module__, standing_in.__name__)
            return NotImplemented
        owner, name = method.__self__, method.__func__.__name__
        try:
            found = getattr(owner, name) == method
        except Exception:  # of a person's __getattr__ or __eq__
            found = False
        return (getattr, (owner, name)) if found else NotImplemented

    def _type_variable(self, variable: Any) -> Reduced:
        if variable.__module__ != "__main__":
            return NotImplemented
        reference = self._reference(variable)
        if reference is not None:
            return reference
        kind, options = type(variable), {}
        if kind is typing.NewType:
            arguments = (variable.__name__, variable.__supertype__)
        else:
            arguments = (variable.__name__, *getattr(variable, "__constraints__", ()))
            for option in ("covariant", "contravariant", "bound"):
                if hasattr(variable, f"__{option}__"):
                    options[option] = getattr(variable, f"__{option}__")
        name = self._home.name_of(variable)
        if name is not None:
            self.named[name] = variable
        return marks.make, (name, None, building.build_type_variable, (kind, arguments, options))

    def _module(self, module: types.ModuleType) -> Reduced:
        if module.__name__ in sys.modules and not _is_shipped(module.__name__):
            return building.module, (module.__name__,)
        return parts.REDUCERS[types.ModuleType](module) if type(module) is types.ModuleType else NotImplemented

    # --- values --------------------------------------------------------------------------------------------------

    def _array(self, array: Any) -> Reduced:
        assert self._largest is not None
        if array.nbytes > self._largest:
            raise TooLargeError
        return NotImplemented

    def _sentinel(self, value: Any) -> Reduced:
        if not is_bare(value):
            return NotImplemented
        place = known_place(value) or self._places(type(value)).get(id(value))
        if place is None:
            return NotImplemented
        if isinstance(place, tuple):
            return building.module_attribute, place
        self.named[place] = value
        return marks.named, (place,)

    def _places(self, kind: type) -> dict[int, Any]:
        """Of libraries' sentinels of that kind; for values also the notebook's own ``object()``, by name alone.

        An instance of a notebook's class is a value, also while it has no state yet: its variable may get some.
        """
        places = self._sentinels.get(kind)
        if places is None:
            places = self._sentinels[kind] = {**places_of(kind)}
            for main in self._main if self.by_reference and kind is object else ():
                for name, each in list(main.items()):
                    if type(each) is kind and not name.startswith("_"):
                        places.setdefault(id(each), name)
        return places

    def _self_reduced(self, value: Any) -> Reduced:
        """What says of itself "I am the global NAME", which is one of ``__main__``."""
        said = value.__reduce__()
        if not isinstance(said, str):
            return said
        if self.by_reference:
            self.named[said] = value
            return marks.named, (said,)
        return copyreg.__newobj__, (type(value),), value.__getstate__()  # type: ignore[attr-defined]


class CodePickler(NamesPickler):
    """For agents and definitions."""


class ValuePickler(NamesPickler):
    """For inputs, outputs, checkpoints and artifacts."""

    by_reference: ClassVar = True


class _MainNames:
    def __reduce__(self) -> Reduced:
        return marks.main_names, ()


class _Cell:
    """An empty cell to be."""

    def __reduce__(self) -> Reduced:
        return building.empty_cell, ()


class _AfterGenerated:
    """What fills a class, given once it has the methods that a library wrote for it, as for a named tuple: its other
    attributes may be instances of itself, which these make.
    """

    def __init__(self, cls: type, methods: dict[str, Any]) -> None:
        self._arguments = cls, methods, building.fill_class

    def __reduce__(self) -> Reduced:
        return marks.begin, self._arguments


_MAIN_NAMES = _MainNames()
_CODE = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType, LRU, *_TYPE_VARIABLES)


def _new_cell() -> Any:
    return _Cell()


def _is_generated(name: str, attribute: Any) -> bool:
    function = attribute.__func__ if isinstance(attribute, staticmethod | classmethod) else attribute
    written = isinstance(function, types.FunctionType) and function.__module__ != "__main__"
    return written or name.startswith("__dataclass_")


def _may_annotate(value: Any) -> bool:
    return isinstance(value, _CODE) or hasattr(value, "__origin__")
