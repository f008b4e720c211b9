"""What every frozen value shares: immutability, UTC times with microseconds, ids."""

from __future__ import annotations

import os
import re
import threading
import time
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, StringConstraints, WithJsonSchema

_set = object.__setattr__  # past the guard that makes models immutable


class Frozen(BaseModel):
    """An immutable value. Unknown fields are ignored: a newer server may send more (protocol.md)."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null", validate_by_name=True)

    def changed(self, **fields: Any) -> Self:
        """A copy with these fields, which are not validated: ``model_copy(update=)`` at a fraction of its time.

        Only for models without private attributes and extra fields; every commit makes dozens of copies.
        """
        copy = self.__new__(type(self))
        _set(copy, "__dict__", self.__dict__ | fields)
        _set(copy, "__pydantic_fields_set__", self.__pydantic_fields_set__ | fields.keys())
        _set(copy, "__pydantic_extra__", None)
        _set(copy, "__pydantic_private__", None)
        return copy


class Message(Frozen):
    """What travels between a host and its clients. Its JSON text is made once, when somebody outside is to read it."""

    @cached_property
    def wire(self) -> str:
        return self.model_dump_json(by_alias=True)

    def changed(self, **fields: Any) -> Self:
        copy = super().changed(**fields)
        copy.__dict__.pop("wire", None)
        return copy


@lru_cache(maxsize=128)  # a decision's time is written a dozen times: in its events, results and snapshot
def format_time(at: datetime) -> str:
    """RFC 3339, UTC, always with microseconds, so that text order is time order."""
    # isoformat, not strftime: it is faster, and it pads early years.
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a time needs a zone")
    return at


Time = Annotated[
    datetime,
    AfterValidator(_aware),
    PlainSerializer(format_time, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]

SESSION_PATTERN = r"^[A-Za-z0-9._:/@-]{1,128}$"
SessionName = Annotated[str, StringConstraints(pattern=SESSION_PATTERN)]
PhaseName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base 32, as the ULID spec has it

_ulid_lock = threading.Lock()
_newest_ulid = 0


def _renew_lock() -> None:
    """In a forked child, whose parent's other threads may have held it at the fork."""
    global _ulid_lock
    _ulid_lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def is_ulid(text: str) -> bool:
    return _ULID.fullmatch(text) is not None


def new_ulid() -> str:
    """A fresh ULID (github.com/ulid/spec): 48 bits of Unix milliseconds, 80 random bits, 26 characters.

    Each of this process is greater than the one before, within a millisecond and after the clock was set back too: so
    tasks keep the order in which they were launched.
    """
    global _newest_ulid
    fresh = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    with _ulid_lock:
        number = _newest_ulid = (
            fresh if fresh >> 80 > _newest_ulid >> 80 else _newest_ulid + 1 + int.from_bytes(os.urandom(8))
        )
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))
