"""Frames that break the protocol (protocol.md, "Errors")."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from phasenb.errors.base import PhasenbError


class ProtocolError(PhasenbError):
    """A frame that breaks protocol.md."""

    code: ClassVar[str] = "bad_message"


@dataclass(eq=False)
class BadMessage(ProtocolError):
    """Not JSON, not an object, or it fails validation; ``fields``: {path: problem}."""

    code: ClassVar[str] = "bad_message"
    problem: str
    fields: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        told = "; ".join(f"{path}: {problem}" for path, problem in self.fields.items())
        return f"{self.problem}: {told}" if told else self.problem


@dataclass(eq=False)
class UnknownType(ProtocolError):
    code: ClassVar[str] = "unknown_type"
    type: str
    known: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"there is no message type {self.type!r} (known: {', '.join(self.known)})"


@dataclass(eq=False)
class HelloRequired(ProtocolError):
    code: ClassVar[str] = "hello_required"
    type: str = ""

    def __str__(self) -> str:
        return "the first message must be `hello`"


@dataclass(eq=False)
class UnsupportedProtocol(ProtocolError):
    code: ClassVar[str] = "unsupported_protocol"
    asked: int
    supported: int

    def __str__(self) -> str:
        return f"protocol {self.asked} is not spoken here (this server speaks {self.supported})"


@dataclass(eq=False)
class TooLarge(ProtocolError):
    """``size`` and ``limit`` in bytes; ``size`` None: of what was not read to its end."""

    code: ClassVar[str] = "too_large"
    size: int | None
    limit: int
    remedy: str = "upload large values as objects"

    def __str__(self) -> str:
        if self.size is None:
            return f"the message has more than the limit of {self.limit:,} bytes: {self.remedy}"
        return f"the message has {self.size:,} bytes, the limit is {self.limit:,}: {self.remedy}"


@dataclass(eq=False)
class ConnectionGone(ProtocolError):
    """A connection over HTTP that has ended; ``close_code`` as a socket is closed with."""

    code: ClassVar[str] = "connection_gone"
    close_code: int
    reason: str

    def __str__(self) -> str:
        return f"this connection has ended ({self.reason}): open another one"


@dataclass(eq=False)
class RateLimited(ProtocolError):
    code: ClassVar[str] = "rate_limited"
    retry_after_s: float

    def __str__(self) -> str:
        return f"too many commands: try again in {self.retry_after_s:.2g} s"


@dataclass(eq=False)
class ServerError(ProtocolError):
    """An error code that this release has no class for, or ``internal``; ``message`` is the server's sentence."""

    code: ClassVar[str] = "internal"
    server_code: str
    message: str
    info: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.message} [{self.server_code}]"
