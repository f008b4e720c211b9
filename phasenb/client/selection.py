"""What people write to pick tasks, as values: times, spans, labels."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from phasenb.dto.policies import parse_duration
from phasenb.dto.task_state import State


def time_of(since: datetime | timedelta | str | None) -> datetime | None:
    """An aware time from a time, an ISO text, or how long ago: a timedelta or "90s", "2h", "1d".

    A time without a zone is local. Raises ValueError for other text.
    """
    if since is None:
        return None
    if isinstance(since, str):
        since = _parsed(since)
    if isinstance(since, timedelta):
        return datetime.now(UTC) - since
    return since.astimezone(UTC)


def _parsed(text: str) -> datetime | timedelta:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass  # not a time: a span, or nothing we know
    try:
        return timedelta(seconds=parse_duration(text))
    except ValueError:
        raise ValueError(
            f'since={text!r} is neither a time (2026-11-24T09:00) nor a span ("90s", "2h", "1d")'
        ) from None


def state_of(state: State | str | None) -> State | None:
    """Raises ValueError for a text that names no state."""
    try:
        return None if state is None else State(state)
    except ValueError:
        raise ValueError(f"state={state!r} is none of {', '.join(State)}") from None


def labels_of(label: Mapping[str, str] | str | None) -> dict[str, str]:
    """Raises ValueError for text that is not "name=value"."""
    if isinstance(label, str):
        name, equals, value = label.partition("=")
        if not equals:
            raise ValueError(f'label={label!r}: write "name=value", or {{name: value}}')
        return {name: value}
    return dict(label or {})
