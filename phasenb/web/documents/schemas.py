"""JSON Schemas of the wire, made from the pydantic models that parse and write it.

Rules: what a client sends is described as it is validated (a field with a default may be left out), what a server
sends as it is written (every field is there); a message's ``type`` is required in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core import CoreSchema, core_schema

from phasenb.dto.events import Event, PhaseLog, PhaseUpdate
from phasenb.dto.values import Artifact, ObjectRef
from phasenb.web import message_protocol as protocol
from phasenb.web.http_protocol import OPERATIONS, LaunchBody, Problem

JsonSchema = dict[str, Any]
Model = type[BaseModel]
COMMANDS: tuple[Model, ...] = get_args(protocol.AnyCommand)
REPLIES: tuple[Model, ...] = get_args(protocol.AnyReply)
EVENTS: tuple[Model, ...] = get_args(Event)
LIVE: tuple[Model, ...] = (PhaseUpdate, PhaseLog)
VALUES: tuple[Model, ...] = (ObjectRef, Artifact)
HTTP_RECEIVED: tuple[Model, ...] = tuple(
    dict.fromkeys(model for each in OPERATIONS for model in (each.query, each.body) if model)
)
HTTP_SENT: tuple[Model, ...] = (
    *dict.fromkeys(each.answer for each in OPERATIONS if isinstance(each.answer, type)), Problem,
)  # fmt: skip
COMPONENTS = "#/components/schemas/"


class _WireSchema(GenerateJsonSchema):
    """pydantic's own, but for what is required, what keys there may be, and without titles that repeat the names."""

    def field_is_required(
        self, field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField, total: bool
    ) -> bool:
        return self.mode == "serialization" or _one_literal(field["schema"]) or super().field_is_required(field, total)

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchema:
        """A key that fits no pattern is refused, which pydantic does not say."""
        made = super().dict_schema(schema)
        return {**made, "additionalProperties": False} if "patternProperties" in made else made


def _one_literal(schema: CoreSchema) -> bool:
    """Whether a field can only be its default: a message's ``type``."""
    inner = schema["schema"] if schema["type"] == "default" else schema
    return inner["type"] == "literal" and len(inner["expected"]) == 1


def schemas(received: Iterable[Model], sent: Iterable[Model]) -> dict[str, JsonSchema]:
    """Schemas by model name, those of nested models too, with references into ``#/components/schemas``."""
    wanted: Sequence[tuple[Model, JsonSchemaMode]] = [
        *((model, "validation") for model in received),
        *((model, "serialization") for model in sent),
    ]
    _, made = models_json_schema(wanted, ref_template=COMPONENTS + "{model}", schema_generator=_WireSchema)
    found: dict[str, JsonSchema] = made["$defs"]
    for schema in found.values():
        schema.pop("title", None)
    return dict(sorted(found.items()))


def message_schemas() -> dict[str, JsonSchema]:
    """Everything that travels on the socket."""
    return schemas(COMMANDS, (*REPLIES, *EVENTS, *LIVE, *VALUES))


def all_schemas() -> dict[str, JsonSchema]:
    """What travels on the socket and over HTTP, but for the bodies that are commands without what the path says."""
    return schemas((*COMMANDS, LaunchBody), (*REPLIES, *EVENTS, *LIVE, *VALUES, *HTTP_SENT))


def type_of(model: Model) -> str:
    """The ``type`` of a message."""
    return str(model.model_fields["type"].default)
