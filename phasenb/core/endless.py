"""Bounds for agents that yield without end: ``max_steps`` and ``until`` as a person gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from phasenb.core.arguments import read_arguments
from phasenb.core.steps import Bounds
from phasenb.errors import LaunchError

_AGENT = "agent"


def checked_bounds(
    max_steps: int | None, until: Callable[..., object] | None
) -> tuple[int | None, Callable[..., object] | None]:
    """Both, as they are. Raises LaunchError for a number of steps that is none, and for what can't be asked."""
    if max_steps is not None and (type(max_steps) is not int or max_steps < 1):
        raise LaunchError(f"max_steps={max_steps!r} is no number of steps, which is 1 at least", argument="max_steps")
    if until is not None and not callable(until):
        raise LaunchError(
            f"until={until!r:.80} can't be called: give a function that says of a step whether it is the last",
            argument="until",
        )
    return max_steps, until


def bounds_over(inner: Bounds, max_steps: int | None, until: Callable[..., object] | None, agent: Any) -> Bounds:
    """What is given, over what the agent has of itself. ``until`` gets the agent where it takes an ``agent``.

    Raises LaunchError for one that asks for more than a step and the agent.
    """
    return Bounds(
        inner.max_steps if max_steps is None else max_steps,
        inner.until if until is None else _of_steps(until, agent),
    )


def _of_steps(until: Callable[..., object], agent: Any) -> Callable[[Any], object]:
    try:
        arguments = read_arguments(until)
    except LaunchError:  # Python can't tell, as of some functions of C: those take one thing
        return until
    step = next((name for name in (*arguments.required, *arguments.optional) if name != _AGENT), "")
    for name in arguments.required:
        if name not in (step, _AGENT):
            raise LaunchError(
                f"`{arguments.name}` (until=) asks for `{name}`: it is given a step, and the agent as `agent`",
                function=arguments.name,
                argument=name,
            )

    def asked(item: Any) -> object:
        args, kwargs = arguments.bind({step: item, _AGENT: agent}, {})
        return until(*args, **kwargs)

    return asked
