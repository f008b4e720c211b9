"""Buffers for pickles of which only so many bytes matter."""

from __future__ import annotations

import io
from typing import Any, BinaryIO


class TooLargeError(Exception):
    """More bytes than may be."""


class Kept:
    """What is written into ``file``, kept as well while it is at most ``limit`` bytes."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file = file
        self._left = limit
        self._chunks: list[Any] = []  # as they come, not copied

    def write(self, data: Any, /) -> int:
        self._left -= memoryview(data).nbytes
        if self._left >= 0:
            self._chunks.append(data)
        else:
            self._chunks.clear()
        return self._file.write(data)

    def bytes(self) -> bytes | None:
        """All of it; None where that is more than ``limit``."""
        return b"".join(self._chunks) if self._left >= 0 else None


class Bounded(io.BytesIO):
    """Raises TooLargeError when more than ``limit`` bytes were written."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._left = limit

    def write(self, data: Any, /) -> int:
        written = super().write(data)
        self._left -= written
        if self._left < 0:
            raise TooLargeError
        return written
