"""The text of the functions of phases, as they are at a launch: kept with the task's code, for people to read later."""

from __future__ import annotations

import functools
import inspect
import textwrap
import types
from typing import Any
from weakref import WeakKeyDictionary

from phasenb.core.extended_agent import ExtendedAgent
from phasenb.dto.bounds import SOURCE

# Asked at each launch. By function, not by its code: equal codes may have other defaults, decorators and comments.
_texts: WeakKeyDictionary[types.FunctionType, str | None] = WeakKeyDictionary()


def sources(agent: ExtendedAgent[Any]) -> dict[str, str]:
    """{phase: the text of its function}, of those whose text Python can tell."""
    functions = agent.known_functions()
    if functions is None:
        return {}
    found = {phase: _text(function.call) for phase, function in functions.phases.items()}
    return {phase: text for phase, text in found.items() if text is not None}


def _text(call: Any) -> str | None:
    while isinstance(call, functools.partial):
        call = call.func
    function = inspect.unwrap(call)
    function = getattr(function, "__func__", function)
    if not isinstance(function, types.FunctionType):
        return None
    if function not in _texts:
        _texts[function] = _read(function)
    return _texts[function]


def _read(function: types.FunctionType) -> str | None:
    try:
        text = textwrap.dedent(inspect.getsource(function.__code__))
    except (OSError, TypeError, IndentationError, SyntaxError):  # typed at a prompt, or its file has changed since
        return None
    return text if len(text) <= SOURCE else f"{text[: SOURCE - 4]}\n..."
