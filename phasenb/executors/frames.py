"""Frames between a host and its worker: two lengths of 4 bytes (big-endian), a JSON header, a binary payload.

Rules: no I/O here; a frame is bytes in, values out. Nothing in a frame is ever unpickled by the host. A frame over
MAXIMUM_BYTES is refused: big values never travel here, they lie in the owner's object folder.
"""

from __future__ import annotations

import struct
from typing import Any

import orjson

Header = dict[str, Any]

MAXIMUM_BYTES = 256 * 1024 * 1024
_LENGTHS = struct.Struct("!II")


class BadFrame(Exception):
    """The other side sent what is no frame, or no message."""


def frame(header: Header, payload: bytes = b"") -> bytes:
    head = orjson.dumps(header, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    return b"".join((_LENGTHS.pack(len(head), len(payload)), head, payload))


class FrameParser:
    """Bytes as they come, in pieces of any size, to whole frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[Header, bytes]]:
        """The frames that ``data`` completes. Raises BadFrame; the parser is of no use afterwards."""
        self._buffer += data
        frames: list[tuple[Header, bytes]] = []
        start = 0
        while len(self._buffer) - start >= _LENGTHS.size:
            head_length, payload_length = _LENGTHS.unpack_from(self._buffer, start)
            if head_length + payload_length > MAXIMUM_BYTES:
                raise BadFrame(f"a frame of {head_length + payload_length:,} bytes")
            body = start + _LENGTHS.size
            end = body + head_length + payload_length
            if len(self._buffer) < end:
                break
            frames.append(
                (_header(self._buffer[body : body + head_length]), bytes(self._buffer[body + head_length : end]))
            )
            start = end
        del self._buffer[:start]
        return frames


def _header(data: bytearray) -> Header:
    try:
        header = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadFrame(f"a header that is not JSON: {error}") from None
    if not isinstance(header, dict) or not isinstance(header.get("type"), str):
        raise BadFrame("a header without a type")
    return header
