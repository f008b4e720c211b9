"""The options of a launch, as ``with_options`` takes them: one table, which type checkers and completion read too."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict, get_type_hints

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
PHASE_OPTIONS = ("retry", "timeout")  # of one phase, on its decorator

# What people write for an option of another name.
_MEANT = {
    **dict.fromkeys(("retries", "max_retries", "attempts", "max_attempts", "maximum_attempts", "tries"), "retry"),
    **dict.fromkeys(("time_limit", "timeout_s", "timeout_seconds", "attempt_timeout", "max_time"), "timeout"),
    "tags": "labels", "title": "name", "environment": "env", "approve": "approve_before", "policy": "recovery",
}  # fmt: skip


def check_options(names: Iterable[str], known: Sequence[str] = OPTIONS) -> None:
    """Raises LaunchError for a name that is none of the ``known`` options."""
    for name in names:
        if name not in known:
            meant = _MEANT.get(name)
            raise LaunchError(
                f"there is no option `{name}` here (there are {', '.join(known)}).",
                argument=name,
                nearest=meant if meant in known else nearest(name, known),
            )


def options_signature() -> inspect.Signature:
    """Of ``with_options``, with each option as a keyword: completion does not look into ``**options``."""
    me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    keywords = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in get_type_hints(Options).items()
    ]
    return inspect.Signature([me, *keywords])
