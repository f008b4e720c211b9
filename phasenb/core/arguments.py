"""The arguments of a phase function: read once from its signature, filled by name.

Rules: ``ctx`` is the context, where it is meant so (core.injection). Every other name is a launch input or the output
of an earlier phase. A default makes an argument optional; ``**kwargs`` takes every value there is; ``*args`` takes
nothing. Only what a function asks for is looked up, so a value that nobody asks for is never decoded.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from phasenb.core.injection import INJECTED, is_ours
from phasenb.dto.agent_spec import FunctionSpec
from phasenb.errors import LaunchError

_POSITIONAL_ONLY = inspect.Parameter.POSITIONAL_ONLY
_KEYWORDS = inspect.Parameter.VAR_KEYWORD
_OPTIONAL_ANYWAY = (inspect.Parameter.VAR_POSITIONAL, _KEYWORDS)
_SAYS_OTHERWISE = ("__wrapped__", "__signature__")  # where inspect.signature looks before it looks at the code


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a function asks for. ``positional``: the names that can only be given by position, in order, with their
    defaults. ``injected``: those that are phasenb's to fill.
    """

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    positional: dict[str, Any]
    open: bool
    injected: tuple[str, ...]

    def takes(self, name: str) -> bool:
        return name in self.required or name in self.optional

    def spec(self, filled: tuple[str, ...]) -> FunctionSpec:
        """As data, without the arguments that phasenb itself fills."""
        return FunctionSpec(
            name=self.name,
            required=tuple(name for name in self.required if name not in filled),
            optional=tuple(name for name in self.optional if name not in filled),
            open=self.open,
        )

    def bind(self, filled: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """(args, kwargs) of a call: ``filled`` by phasenb (``ctx``), the rest from ``values``.

        Raises LaunchError for a required argument that neither has.
        """
        found: dict[str, Any] = {}
        for name in (*self.required, *self.optional):
            if name in filled:
                found[name] = filled[name]
            elif name in values:
                found[name] = values[name]
            elif name in self.required:
                raise LaunchError(f"`{self.name}` asks for `{name}`, which nothing provides", self.name, name)
        # One that is left out before one that is given needs its default spelt out.
        args = [found.pop(name, default) for name, default in self.positional.items()]
        if self.open:
            found.update((name, values[name]) for name in values if not self.takes(name))
        return args, found


_read: WeakKeyDictionary[Callable[..., Any], Arguments] = WeakKeyDictionary()


def read_arguments(function: Callable[..., Any]) -> Arguments:
    """The arguments of ``function``. Raises LaunchError for one whose signature Python can't tell."""
    try:
        known = _read.get(function)
    except TypeError:  # neither hashable nor weakly referenced: read it each time
        return _arguments(function)
    if known is None:
        known = _arguments(function)
        if inspect.isfunction(function):  # a bound method's reference would die at once
            _read[function] = known
    return known


def function_name(function: Callable[..., Any]) -> str:
    """How a message calls a function: ``explore``, ``Agent.process``."""
    if isinstance(function, functools.partial):
        return function_name(function.func)
    owner = getattr(function, "__self__", None)
    name = getattr(function, "__name__", None)
    if name is None:
        return _short(type(function))
    if inspect.ismethod(function):
        return f"{_short(owner if isinstance(owner, type) else type(owner))}.{name}"
    return str(name)


def _short(cls: type) -> str:
    return cls.__qualname__.rpartition("<locals>.")[2]


def _arguments(function: Callable[..., Any]) -> Arguments:
    if type(function) is FunctionType and vars(function).keys().isdisjoint(_SAYS_OTHERWISE):
        return _of_code(function)
    name = function_name(function)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise LaunchError(
            f"Python can't tell which arguments `{name}` takes: wrap it in a function of yours", name
        ) from None
    named = [parameter for parameter in parameters if parameter.kind not in _OPTIONAL_ANYWAY]
    return Arguments(
        name=name,
        required=tuple(parameter.name for parameter in named if parameter.default is parameter.empty),
        optional=tuple(parameter.name for parameter in named if parameter.default is not parameter.empty),
        positional={parameter.name: parameter.default for parameter in named if parameter.kind is _POSITIONAL_ONLY},
        open=any(parameter.kind is _KEYWORDS for parameter in parameters),
        injected=tuple(parameter.name for parameter in named if _is_injected(function, parameter)),
    )


def _is_injected(function: Callable[..., Any], parameter: inspect.Parameter) -> bool:
    if parameter.name not in INJECTED:
        return False
    while isinstance(function, functools.partial):
        if parameter.name in function.keywords:
            return False
        function = function.func
    return is_ours(
        parameter.name,
        parameter.annotation,
        parameter.default,
        empty=parameter.empty,
        namespace=_namespace(function),
    )


def _namespace(function: Callable[..., Any]) -> Mapping[str, Any]:
    """The names that a function's annotations are written with."""
    function = inspect.unwrap(function)
    if inspect.isclass(function):
        function = function.__init__  # what the signature of a class is made of
    elif not inspect.isroutine(function):
        function = type(function).__call__
    found: Mapping[str, Any] = getattr(function, "__globals__", {})
    return found


def _of_code(function: FunctionType) -> Arguments:
    """What inspect.signature tells of a plain function, at a quarter of its time: each task's code is unpickled anew,
    so a worker reads each function once for each task.
    """
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    by_position = function.__defaults__ or ()
    defaults = dict(zip(names[code.co_argcount - len(by_position) : code.co_argcount], by_position, strict=True))
    defaults.update(function.__kwdefaults__ or {})
    empty = inspect.Parameter.empty
    injected = [
        name
        for name in names
        if name in INJECTED
        and is_ours(
            name,
            function.__annotations__.get(name, empty),
            defaults.get(name, empty),
            empty=empty,
            namespace=function.__globals__,
        )
    ]
    return Arguments(
        name=function_name(function),
        required=tuple([name for name in names if name not in defaults]),
        optional=tuple([name for name in names if name in defaults]),
        positional={name: defaults.get(name, empty) for name in names[: code.co_posonlyargcount]},
        open=bool(code.co_flags & inspect.CO_VARKEYWORDS),
        injected=tuple(injected),
    )
