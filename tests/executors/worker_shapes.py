"""Writes the table of the worker protocol's shapes for its number: ``python -m tests.executors.worker_shapes``."""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from phasenb.executors.worker_headers import HEADERS
from phasenb.executors.worker_messages import PROTOCOL

TABLE = Path(__file__).parent / "data" / "worker_protocol.json"


def shapes() -> dict[str, Any]:
    """``{header or model: {field: type}}``; a field with ``?`` may be missing."""
    found = {}
    for header in HEADERS:
        schema = TypeAdapter(header).json_schema(mode="serialization")
        name = schema["properties"]["type"]["const"]
        found[name] = _fields(schema)
        found |= {inner: _fields(each) for inner, each in schema.get("$defs", {}).items()}
    return dict(sorted(found.items()))


def _fields(schema: dict[str, Any]) -> Any:
    if "properties" not in schema:
        return _type(schema)
    required = schema.get("required", ())
    fields = {name if name in required else f"{name}?": _type(field) for name, field in schema["properties"].items()}
    return dict(sorted(fields.items()))


def _type(schema: dict[str, Any]) -> str:
    """In words that do not depend on how pydantic words a schema."""
    if "anyOf" in schema:
        return " | ".join(sorted(_type(each) for each in schema["anyOf"]))
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "const" in schema or "enum" in schema:
        return "one of " + ", ".join(map(str, schema.get("enum", [schema.get("const")])))
    inner = schema.get("items") or schema.get("additionalProperties")
    kind = str(schema.get("type", "any"))
    return f"{kind} of {_type(inner)}" if isinstance(inner, dict) and inner else kind


if __name__ == "__main__":
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    table[str(PROTOCOL)] = shapes()
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
