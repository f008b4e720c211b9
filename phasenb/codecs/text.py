"""Plain str as UTF-8 and plain bytes as they are."""

from __future__ import annotations

from typing import Any, BinaryIO

from phasenb.codecs.base import Codec


def _is_text(value: Any) -> bool:
    return type(value) is str


def _write_text(value: str, file: BinaryIO) -> None:
    file.write(value.encode())  # a lone surrogate raises, and pickle takes the value


def _read_text(file: BinaryIO) -> str:
    return file.read().decode()


def _is_bytes(value: Any) -> bool:
    return type(value) is bytes


def _write_bytes(value: bytes, file: BinaryIO) -> None:
    file.write(value)


def _read_bytes(file: BinaryIO) -> bytes:
    return file.read()


TEXT = Codec("text", _is_text, _write_text, _read_text)
BYTES = Codec("bytes", _is_bytes, _write_bytes, _read_bytes)
