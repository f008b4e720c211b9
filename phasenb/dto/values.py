"""How a value looks outside a worker: plain JSON, or a reference to stored bytes. Nothing else.

Rule: a value is *inline* when it is JSON whose top level is not an object with the key ``$object``; otherwise it
is an ObjectRef as a JSON object. So inputs, outputs, checkpoints and artifacts have one form on the wire, in the
log and in the store, and the host never needs to decode what a person's code made.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from phasenb.dto.base import Frozen

OBJECT_KEY = "$object"
Json = Any  # pydantic's JsonValue re-validates whole trees on every copy; orjson has the last word anyway


class Head(Frozen):
    """The first rows of a frame as short texts, its index first: what a page draws as a table."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class ObjectRef(Frozen):
    """Bytes in the artifacts folder, named by content.

    ``hash`` is ``sha256:`` + hex; ``codec`` one of ``json, parquet, npy, png, pickle, text, bytes``; ``type`` the
    Python type's qualified name; ``bytes`` the stored size; ``shape`` of arrays and frames; ``preview`` at most
    2,000 characters for people; ``head`` of frames.
    """

    hash: str = Field(alias=OBJECT_KEY, pattern=r"^sha256:[0-9a-f]{64}$")
    codec: str
    type: str = ""
    bytes: int = 0
    shape: tuple[int, ...] | None = None
    preview: str = ""
    head: Head | None = None

    def as_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def is_reference(value: Json) -> bool:
    return isinstance(value, dict) and OBJECT_KEY in value


def as_reference(value: Json) -> ObjectRef | None:
    """The reference that ``value`` is, or None where it is inline JSON."""
    return ObjectRef.model_validate(value) if is_reference(value) else None


class Artifact(ObjectRef):
    """A named object that a phase kept with ``ctx.artifact(name, value)``."""

    name: str
