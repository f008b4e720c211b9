"""Which content type to answer with (RFC 9110, section 12.5.1). Pure."""

from __future__ import annotations

from collections.abc import Sequence


def preferred(accept: str | None, offered: Sequence[str]) -> str | None:
    """The offered type that an ``Accept`` header likes best, the earlier one where it likes several; None: none.

    Without a header the first. The most specific range counts for a type: ``*/*`` does not bring back what another
    range refuses with ``q=0``.
    """
    if not accept:
        return offered[0]
    ranges = [_range(part) for part in accept.split(",")]
    liked = [(_quality(content_type, ranges), content_type) for content_type in offered]
    best = max(quality for quality, _ in liked)
    return next(content_type for quality, content_type in liked if quality == best) if best > 0 else None


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                quality = float(parameter[2:])
            except ValueError:
                quality = 0.0
    return name, quality


def _quality(content_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    for wanted in (content_type, f"{content_type.partition('/')[0]}/*", "*/*"):
        for name, quality in ranges:
            if name == wanted:
                return quality
    return 0.0
