"""Pictures for people: matplotlib figures, PIL images and PNG bytes, as PNG files.

Only where it was asked for, or for an artifact: the figure itself is not in the file.
"""

from __future__ import annotations

from typing import Any, BinaryIO

from phasenb.codecs.base import Codec

_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"})  # those that a PNG file can have
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class PngImage(bytes):
    """A PNG file's bytes, which a notebook shows as a picture."""

    def _repr_png_(self) -> bytes:
        return bytes(self)

    def __repr__(self) -> str:
        return f"<PNG image, {len(self):,} bytes>"


def is_figure(value: Any) -> bool:
    """A matplotlib figure or a subclass of one, told without importing matplotlib."""
    return any(base.__module__ == "matplotlib.figure" and base.__name__ == "FigureBase" for base in type(value).__mro__)


def is_image(value: Any) -> bool:
    """A PIL image of any mode."""
    return any(base.__module__ == "PIL.Image" and base.__name__ == "Image" for base in type(value).__mro__)


def is_picture(value: Any) -> bool:
    """What people look at, and a page can show only as a PNG file."""
    return is_figure(value) or is_image(value)


def _accepts(value: Any) -> bool:
    return is_picture(value) or (isinstance(value, bytes) and value.startswith(_SIGNATURE))


def _write(value: Any, file: BinaryIO) -> None:
    if is_figure(value):
        value.savefig(file, format="png", bbox_inches="tight")
    elif is_image(value):
        shown = value if value.mode in _MODES else value.convert("RGB")
        shown.save(file, format="PNG")
    else:
        file.write(value)


def _read(file: BinaryIO) -> PngImage:
    return PngImage(file.read())


PNG = Codec("png", _accepts, _write, _read)
