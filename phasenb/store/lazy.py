"""LazyValue: a big value in a frame's cell. It shows what it is, and is fetched when asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from phasenb.dto.values import Json, ObjectRef, as_reference

_SHORT = 120  # characters of a preview beside what the value is
Load = Callable[[Json], Any]


class LazyValue:
    """A reference with the way to its value; ``load()`` fetches and decodes it anew each time."""

    __slots__ = ("_load", "reference")

    def __init__(self, reference: ObjectRef, load: Load) -> None:
        self.reference = reference
        self._load = load

    def load(self) -> Any:
        """The value. Raises UnknownObject where its bytes are gone, and what unpickling raises."""
        return self._load(self.reference.as_json())

    @property
    def preview(self) -> str:
        return self.reference.preview

    def __repr__(self) -> str:
        reference = self.reference
        shape = " x ".join(f"{length:,}" for length in reference.shape or ())
        parts = [reference.type.rpartition(".")[2] or reference.codec, shape, f"{reference.bytes:,} bytes"]
        told = f"<{', '.join(part for part in parts if part)}: .load() gives it>"
        # A small value is told at once; of a frame or a text the first line would only be its head.
        short = reference.preview if "\n" not in reference.preview and len(reference.preview) <= _SHORT else ""
        return f"{short} {told}".lstrip()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LazyValue) and other.reference == self.reference

    def __hash__(self) -> int:
        return hash(self.reference.hash)


def shown(value: Json, load: Load | None) -> Any:
    """What a frame's cell holds: an inline value as it is, a reference as a LazyValue (ObjectRef without ``load``)."""
    reference = as_reference(value)
    if reference is None:
        return value
    return LazyValue(reference, load) if load else reference
