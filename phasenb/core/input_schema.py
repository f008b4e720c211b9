"""An agent's launch inputs as a JSON schema, from its functions' annotations and defaults: a form is built from it.

Rules: an input is an argument that neither phasenb nor an earlier phase fills. An annotation that has no JSON schema
(a DataFrame) allows anything, as no annotation does; a launch checks names, never types. The schema is an ornament:
what a person's class or default raises while it is made costs its own part of it, and nothing else. Not imported by who
only defines a workflow.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, get_type_hints

import orjson
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from phasenb.core.phase_functions import Functions, PhaseFunction
from phasenb.dto.texts import printable, text_of

log = logging.getLogger(__name__)
JsonSchema = dict[str, Any]


def input_schema(functions: Functions) -> JsonSchema:
    """An object's JSON schema (draft 2020-12)."""
    found: dict[str, JsonSchema] = {}
    adapters: dict[str, TypeAdapter[Any]] = {}
    required: dict[str, None] = {}
    told: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
    for name, function, needed in functions.inputs():
        if id(function) not in told:
            told[id(function)] = _hints(function), _defaults(function)
        hints, defaults = told[id(function)]
        schema = found.setdefault(name, {"title": name})
        if name in hints and name not in adapters and (adapter := _adapter(hints[name])) is not None:
            adapters[name] = adapter
        if name in defaults:
            schema.setdefault("default", defaults[name])
        if needed:
            required[name] = None
    return _joined(functions, found, adapters, list(required))


def _joined(
    functions: Functions, found: dict[str, JsonSchema], adapters: Mapping[str, TypeAdapter[Any]], required: list[str]
) -> JsonSchema:
    keyed, shared = _schemas(adapters)
    properties = {name: {**keyed.get((name, "validation"), {}), **schema} for name, schema in found.items()}
    made: JsonSchema = {"type": "object", "properties": properties, "required": required}
    made["additionalProperties"] = functions.open
    if about := _description(functions):
        made["description"] = about
    return made | ({"$defs": shared["$defs"]} if "$defs" in shared else {})


def _schemas(adapters: Mapping[str, TypeAdapter[Any]]) -> tuple[Mapping[Any, JsonSchema], JsonSchema]:
    """As ``TypeAdapter.json_schemas``."""
    try:
        keyed, shared = TypeAdapter.json_schemas([(name, "validation", each) for name, each in adapters.items()])
    except Exception as error:  # each has a schema, but not all of them together
        log.debug("no JSON schema of %s together: %s", ", ".join(adapters), text_of(error))
        return {}, {}
    return keyed, shared


def _adapter(hint: Any) -> TypeAdapter[Any] | None:
    """None for a type that has no JSON schema."""
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
        orjson.dumps(adapter.json_schema())
    except Exception as error:  # pydantic's refusals, and what a class raises when it is asked for its schema
        log.debug("no JSON schema of an annotation: %s", text_of(error))
        return None
    return adapter


def _hints(function: PhaseFunction) -> dict[str, Any]:
    told = getattr(function.call, "__signature__", None)
    if told is not None and not inspect.isroutine(function.call):  # an adapter's: its own code knows no names
        named = told.parameters.values()
        return {each.name: each.annotation for each in named if each.annotation is not each.empty}
    call = _plain(function.call)
    try:
        return get_type_hints(call, include_extras=True)
    except Exception:  # evaluates what a person wrote: a name that is only there for type checkers raises NameError
        return {}


def _defaults(function: PhaseFunction) -> dict[str, Any]:
    """The defaults that are JSON."""
    found = {}
    for name, parameter in inspect.signature(function.call).parameters.items():
        if parameter.default is not parameter.empty:
            try:
                value = to_jsonable_python(parameter.default)
                orjson.dumps(value)  # no lone surrogate, no number beyond 64 bits
            except Exception as error:  # there are many ways not to be JSON
                log.debug("the default of %s is no JSON: %s", name, text_of(error))
            else:
                found[name] = value
    return found


def _description(functions: Functions) -> str:
    """What the first phase's function says of itself, up to the first empty line."""
    first = next(iter(functions.phases.values()))
    return printable((inspect.getdoc(_plain(first.call)) or "").partition("\n\n")[0])


def _plain(call: Any) -> Any:
    """What has the annotations: a partial's function, a callable object's ``__call__``."""
    while isinstance(call, partial):
        call = call.func
    return call if inspect.isroutine(call) or inspect.isclass(call) else type(call).__call__
