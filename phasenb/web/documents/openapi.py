"""The HTTP paths as an OpenAPI 3.1 document, from the table that the handlers go by."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel

from phasenb.web import message_protocol as protocol
from phasenb.web.documents.schemas import COMPONENTS, HTTP_RECEIVED, HTTP_SENT, JsonSchema, schemas
from phasenb.web.http_protocol import ARROW, BYTES, JSON, OPERATIONS, STATUS, Operation, Problem

_EVERYWHERE = ("bad_message", "forbidden", "store_unavailable", "config_error", "internal")
_IN_PATH: dict[str, JsonSchema] = {
    "task_id": {"type": "string", "description": "A ULID, a task's name, or the end of an id"},
    "agent": {"type": "string", "description": "The name of a registered agent"},
    "phase": {"type": "string"},
    "attempt": {"type": "integer", "minimum": 1, "maximum": 10**15 - 1},
    "name": {"type": "string"},
    "connection": {"type": "string"},
    "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
}
_IN_COMMAND_ONLY = ("id", "type", "task_id", "launches")
_HEADERS: tuple[tuple[str, JsonSchema, str], ...] = (
    ("traceparent", {"type": "string"}, "The span that the task belongs under (W3 Trace Context)"),
    ("Idempotency-Key", {"type": "string", "maxLength": 200}, "As `idempotency_key` in the body"),
)
_BINARY: JsonSchema = {}


def openapi() -> JsonSchema:
    components = schemas(HTTP_RECEIVED, HTTP_SENT)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, components)
    queries = {operation.query.__name__ for operation in OPERATIONS if operation.query}
    for operation in OPERATIONS:
        if operation.body is not None and issubclass(operation.body, protocol.Command):
            components[operation.body.__name__] = _body(components[operation.body.__name__])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "phasenb",
            "version": str(protocol.PROTOCOL),
            "description": "Durable, phased tasks of a Jupyter server: to launch, steer and read over HTTP. "
            "Live messages come over the socket beside it (AsyncAPI document).",
            "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
        },
        "servers": [
            {
                "url": "{server}",
                "variables": {
                    "server": {"default": "http://localhost:8888", "description": "With its base URL, if it has one"}
                },
            }
        ],
        "security": [{"header": []}, {"query": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "header": {"type": "http", "scheme": "bearer", "description": "The Jupyter server's token"},
                "query": {"type": "apiKey", "in": "query", "name": "token"},
            },
            "schemas": {name: schema for name, schema in components.items() if name not in queries},
        },
    }


def _operation(operation: Operation, components: dict[str, JsonSchema]) -> JsonSchema:
    described: JsonSchema = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": "\n\n".join(filter(None, [_told(operation), f"Needs `{operation.permission}`."])),
        "parameters": _parameters(operation, components),
        "responses": _responses(operation),
    }
    if operation.body is not None:
        command = operation.body
        needed = {*components[command.__name__].get("required", ())} - {*_IN_COMMAND_ONLY}
        content = {JSON: {"schema": _ref(command)}}
        described["requestBody"] = {"content": content, "required": bool(needed) or operation.name == "launch"}
    elif operation.name == "send":
        described["requestBody"] = {"content": {JSON: {"schema": {"type": "object"}}}, "required": True}
    elif operation.method == "PUT":
        described["requestBody"] = {"content": {BYTES: {"schema": _BINARY}}, "required": True}
    return described


def _told(operation: Operation) -> str | None:
    return operation.query.__doc__.replace("``", "`") if operation.query and operation.query.__doc__ else None


def _parameters(operation: Operation, components: dict[str, JsonSchema]) -> list[JsonSchema]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": _IN_PATH[name]}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    query = components[operation.query.__name__]["properties"] if operation.query else {}
    in_query = [{"name": name, "in": "query", "schema": _without_null(schema)} for name, schema in query.items()]
    headers = [{"name": name, "in": "header", "schema": schema, "description": told} for name, schema, told in _HEADERS]
    return [*in_path, *in_query, *(headers if operation.name == "launch" else [])]


_WAIT: JsonSchema = {
    "headers": {
        "Retry-After": {
            "schema": {"type": "integer", "minimum": 1},
            "description": "Seconds; not there where to wait mends nothing (`config_error`)",
        }
    }
}


def _responses(operation: Operation) -> JsonSchema:
    responses: JsonSchema = {str(operation.status): {"description": operation.summary, **_content(operation)}}
    if operation.name == "launch":
        responses["200"] = {**responses["201"], "description": "The launch was known already: this is its task"}
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys((*operation.errors, *_EVERYWHERE)):
        by_status.setdefault(STATUS.get(code, 500), []).append(code)
    for status, codes in sorted(by_status.items()):
        content = {} if operation.method == "HEAD" else {"content": {JSON: {"schema": _ref(Problem)}}}
        told = ", ".join(f"`{code}`" for code in codes)
        responses[str(status)] = {"description": told, **(_WAIT if status in (429, 503) else {}), **content}
    return dict(sorted(responses.items()))


def _content(operation: Operation) -> JsonSchema:
    answer = operation.answer
    if answer is None:
        return {}
    if isinstance(answer, tuple):
        return {"content": {content_type: {"schema": _BINARY} for content_type in answer}}
    return {"content": {JSON: {"schema": _ref(answer)}, **({ARROW: {"schema": _BINARY}} if operation.arrow else {})}}


def _body(command: JsonSchema) -> JsonSchema:
    """A command of the socket as a body: what the path says is not in it."""
    properties = {name: schema for name, schema in command["properties"].items() if name not in _IN_COMMAND_ONLY}
    required = [name for name in command.get("required", ()) if name in properties]
    body = {name: value for name, value in command.items() if name != "oneOf"}
    return {**body, "properties": properties, "required": required}


def _without_null(schema: JsonSchema) -> JsonSchema:
    """In a query what is not there is left out: it can't be null."""
    several: list[JsonSchema] = [inner for inner in schema.get("anyOf", ()) if inner.get("type") != "null"]
    return several[0] if several else schema


def _ref(model: type[BaseModel]) -> JsonSchema:
    return {"$ref": COMPONENTS + model.__name__}
