"""A method of an agent whose keywords are the agent's inputs: completion and help name them.

A descriptor, since inputs differ from agent to agent. It is no property: IPython would show a property's own help.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from phasenb.errors import LaunchError

if TYPE_CHECKING:
    from phasenb.core.phase_functions import Functions

P = ParamSpec("P")
R = TypeVar("R")
_signatures: WeakKeyDictionary[Functions, inspect.Signature] = WeakKeyDictionary()  # asked at each launch
_ANY_INPUTS = inspect.Signature([inspect.Parameter("inputs", inspect.Parameter.VAR_KEYWORD)])


class TakesInputs(Generic[P, R]):
    """``@TakesInputs def launch(self, /, **inputs)``. The bound method's ``__signature__`` has the inputs of the agent,
    as its ``known_functions`` tell them; it raises LaunchError for a value without a name.
    """

    def __init__(self, method: Callable[Concatenate[Any, P], R]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __get__(self, agent: Any, owner: type) -> Callable[P, R]:
        method: Any = self._method
        if agent is None:
            return method  # type: ignore[no-any-return]
        signature = inputs_signature(agent.known_functions)

        def bound(*values: Any, **inputs: Any) -> R:
            refuse_positional(method.__name__, values, signature)
            return method(agent, **inputs)  # type: ignore[no-any-return]

        functools.update_wrapper(bound, method)
        bound.__signature__ = signature  # type: ignore[attr-defined]
        return bound


def inputs_signature(functions_of: Callable[[], Functions | None]) -> inspect.Signature:
    """The inputs as keywords, those first that must be given. ``**inputs`` alone where they can't be known."""
    try:
        functions = functions_of()
    except LaunchError:  # a workflow in the making: its launch says what is wrong with it
        return _ANY_INPUTS
    if functions is None:
        return _ANY_INPUTS
    known = _signatures.get(functions)
    if known is None:
        known = _signatures[functions] = _signature(functions)
    return known


def _signature(functions: Functions) -> inspect.Signature:
    found: dict[str, inspect.Parameter] = {}
    for name, function, needed in functions.inputs():
        known = found.get(name)
        if known is None or (needed and known.default is not inspect.Parameter.empty):
            found[name] = _keyword(name, function.call, needed=needed)
    keywords = sorted(found.values(), key=lambda each: each.default is not inspect.Parameter.empty)
    more = list(_ANY_INPUTS.parameters.values()) if functions.open and "inputs" not in found else []
    return inspect.Signature([*keywords, *more])


def _keyword(name: str, function: Callable[..., Any], *, needed: bool) -> inspect.Parameter:
    said = inspect.signature(function).parameters[name]
    default = inspect.Parameter.empty if needed else said.default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=said.annotation)


def refuse_positional(verb: str, values: Sequence[Any], signature: inspect.Signature = _ANY_INPUTS) -> None:
    """Raises LaunchError where there are values without a name."""
    if not values:
        return
    names = [each.name for each in signature.parameters.values() if each.kind is inspect.Parameter.KEYWORD_ONLY]
    shown = [f"{name}={value!r:.40}" for name, value in zip(names or ["name"], values, strict=False)]
    raise LaunchError(
        f"inputs are given by name: write {verb}({', '.join(shown)})", argument=names[0] if names else None
    )
