"""The options of a launch, as ``with_options`` takes them: one table, which type checkers and completion read too."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from phasenb.core.launch_check import nearest
from phasenb.errors import LaunchError


class Options(TypedDict, total=False):
    """Options of a launch; None means that an option is not given. docs/python.md has what each does.

    ``client``: a phasenb.Client.
    """

    name: str | None
    key: str | None
    if_exists: Literal["attach", "new", "error"] | None
    client: Any
    session: str | None
    show: bool | None
    executor: Literal["inline", "process"] | None
    approve_before: str | Sequence[str] | None
    recovery: Mapping[str, Any] | None
    retry: int | Mapping[str, int] | None
    timeout: float | str | Mapping[str, float | str] | None
    timeouts: Mapping[str, Any] | None
    env: str | Sequence[str] | Mapping[str, str] | None
    secrets: str | Sequence[str] | Mapping[str, str] | None
    labels: Mapping[str, str] | None
    priority: int | None
    fresh_worker: bool | None


OPTIONS = tuple(Options.__annotations__)

# What people write for an option of another name.
_MEANT = {
    **dict.fromkeys(("retries", "max_retries", "attempts", "max_attempts", "maximum_attempts", "tries"), "retry"),
    **dict.fromkeys(("time_limit", "timeout_s", "timeout_seconds", "attempt_timeout", "max_time"), "timeout"),
    "tags": "labels", "title": "name", "environment": "env", "approve": "approve_before", "policy": "recovery",
}  # fmt: skip


def check_options(names: Sequence[str] | Mapping[str, Any]) -> None:
    """Raises LaunchError for a name that is no option."""
    for name in names:
        if name not in OPTIONS:
            raise LaunchError(
                f"there is no option `{name}` (there are {', '.join(OPTIONS)}).",
                argument=name,
                nearest=_MEANT.get(name) or nearest(name, OPTIONS),
            )


def options_signature() -> inspect.Signature:
    """Of ``with_options``, with each option as a keyword: completion does not look into ``**options``."""
    me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    keywords = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in Options.__annotations__.items()
    ]
    return inspect.Signature([me, *keywords])
