"""What people write to pick tasks, as values: times, spans, labels."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from phasenb.dto.policies import parse_duration
from phasenb.dto.task_state import State
from phasenb.errors import WrongValue


class HasId(Protocol):
    """A handle."""

    @property
    def task_id(self) -> str: ...


Named = str | HasId  # a task's id, its name, the end of its id; or a handle


def id_of(task: Named) -> str:
    """Raises WrongValue for what names no task."""
    found = task if isinstance(task, str) else getattr(task, "task_id", None)
    if not isinstance(found, str):
        raise WrongValue(f"{task!r:.80} is no task: give its id, its name, or a handle")
    return found


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
    # A pandas.Timestamp is a datetime that does not take a naive time for local.
    plain = since.to_pydatetime(warn=False) if hasattr(since, "to_pydatetime") else since
    if not isinstance(plain, datetime):
        raise WrongValue(f"since={since!r}: give a time, how long ago (timedelta), or a text of either")
    return plain.astimezone(UTC)


def _parsed(text: str) -> datetime | timedelta:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass  # not a time: a span, or nothing we know
    try:
        return timedelta(seconds=parse_duration(text))
    except ValueError:
        raise WrongValue(
            f'since={text!r} is neither a time (2026-11-24T09:00) nor a span ("90s", "2h", "1d")'
        ) from None


def state_of(state: State | str | None) -> State | None:
    """Raises ValueError for a text that names no state."""
    try:
        return None if state is None else State(state)
    except ValueError:
        raise WrongValue(f"state={state!r} is none of {', '.join(State)}") from None


def scope_of(scope: str) -> str:
    """Raises ValueError for a text that is no scope."""
    if scope in ("session", "user"):
        return scope
    hint = ' ("user" has those of all your sessions)' if scope == "all" else ""
    raise WrongValue(f'scope={scope!r}: write scope="session" or scope="user"{hint}')


def labels_of(label: Mapping[str, str] | str | None) -> dict[str, str]:
    """Raises ValueError for text that is not "name=value"."""
    if isinstance(label, str):
        name, equals, value = label.partition("=")
        if not equals:
            raise WrongValue(f'label={label!r}: write "name=value", or {{name: value}}')
        return {name: value}
    return dict(label or {})
