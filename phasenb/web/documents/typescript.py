"""TypeScript types from JSON Schemas: the small part of JSON Schema that pydantic writes for the wire.

Raises NotImplementedError for a schema that it can't say: a type must never be wider than what is sent by oversight.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from phasenb.dto.task_state import TERMINAL, State
from phasenb.web import message_protocol as protocol
from phasenb.web.documents.schemas import (
    COMMANDS,
    COMPONENTS,
    EVENTS,
    LIVE,
    REPLIES,
    JsonSchema,
    Model,
    all_schemas,
    type_of,
)

_HEAD = """\
// Made from phasenb's pydantic models by `make documents`. Do not edit.
/* eslint-disable */

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
"""
_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def typescript() -> str:
    """The module ``protocol.ts``."""
    parts = [_HEAD, *(_declaration(name, schema) for name, schema in all_schemas().items())]
    parts += [
        _union("Command", COMMANDS, "What a client sends."),
        _union("TaskEvent", EVENTS, "Durable, numbered facts of a task's log."),
        _union("LiveMessage", LIVE, "Progress and log lines: not numbered."),
        _union("Reply", REPLIES, "Answers to commands; `reply_to` is the command's `id`."),
        "/** What a server sends. A client ignores types that it does not know. */\n"
        "export type ServerMessage = Reply | TaskEvent | LiveMessage;\n",
        f"export const PROTOCOL = {protocol.PROTOCOL};\n",
        _list("EVENT_TYPES", "TaskEvent['type']", [type_of(model) for model in EVENTS]),
        _list("TERMINAL_STATES", "State", [state for state in State if state in TERMINAL]),
    ]
    return "\n".join(parts)


def _declaration(name: str, schema: JsonSchema) -> str:
    comment = _comment(schema.get("description"))
    if schema.get("type") == "object" and "properties" in schema:
        return f"{comment}export interface {name} {_members(schema)}\n"
    return f"{comment}export type {name} = {_type(schema)};\n".replace("= \n", "=\n")


def _members(schema: JsonSchema, indent: str = "  ") -> str:
    required = schema.get("required", ())
    lines = []
    for field, inner in schema["properties"].items():
        key = field if field.isidentifier() or field.startswith("$") else json.dumps(field)
        lines.append(f"{indent}{key}{'' if field in required else '?'}: {_type(inner)};")
    return "\n".join(["{", *lines, "}"])


def _type(schema: JsonSchema) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(COMPONENTS)
    if "const" in schema:
        return _literal(schema["const"])
    if "enum" in schema:
        return _either([_literal(value) for value in schema["enum"]])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return _either(dict.fromkeys(_type(inner) for inner in schema[several]))
    kind = schema.get("type")
    if kind is None:
        return "Json"
    if kind == "array":
        inner = _type(schema["items"])
        return f"({inner})[]" if " | " in inner else f"{inner}[]"
    if kind == "object":
        values = next(iter(schema.get("patternProperties", {}).values()), schema.get("additionalProperties", True))
        return f"{{ [name: string]: {'Json' if values is True else _type(values)} }}"
    if kind not in _PLAIN:
        raise NotImplementedError(f"no TypeScript for {schema}")
    return _PLAIN[kind]


def _literal(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else json.dumps(value)


def _either(types: Iterable[str]) -> str:
    """A union: on one line where it fits."""
    types = list(types)
    if types == [model.__name__ for model in EVENTS]:
        return "TaskEvent"
    line = " | ".join(types)
    return line if len(line) < 80 else "".join(f"\n  | {one}" for one in types)


def _union(name: str, models: Iterable[Model], comment: str) -> str:
    members = "".join(f"\n  | {model.__name__}" for model in models)
    return f"/** {comment} */\nexport type {name} ={members};\n"


def _list(name: str, kind: str, values: Iterable[str]) -> str:
    items = "".join(f"\n  '{value}'," for value in values)
    return f"export const {name}: readonly ({kind})[] = [{items.rstrip(',')}\n];\n"


def _comment(text: str | None) -> str:
    if not text:
        return ""
    lines = text.replace("``", "`").splitlines()
    if len(lines) == 1:
        return f"/** {lines[0]} */\n"
    return "\n".join(["/**", *(f" * {line}".rstrip() for line in lines), " */\n"])
