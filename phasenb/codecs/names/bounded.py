"""A buffer for pickles that may have only so many bytes."""

from __future__ import annotations

import io
from typing import Any


class TooLargeError(Exception):
    """More bytes than may be."""


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
