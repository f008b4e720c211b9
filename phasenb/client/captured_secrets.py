"""Secrets that a launch's code would take along in one of its variables: code is stored, with what it uses."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from typing import Any

from phasenb.agents.captures import Part, walk
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.dto.launch import SHORTEST_SECRET
from phasenb.errors import LaunchError

_CONTAINERS = (dict, list, tuple, set, frozenset)
_DEEPEST = 4  # container in container


def refuse_captured(agent: ExtendedAgent, code: bytes, named: Collection[str]) -> None:
    """``code`` is ``agent``, packed; ``named`` are the variables of this process that the launch says are secrets.

    Raises LaunchError where a variable of the code holds one.
    """
    for part, name in _holders(agent, code, named):
        raise LaunchError(
            f"{_place(part)} holds the secret {name}, and code is stored with what it uses: read it in the phase, "
            f"os.environ[{name!r}]",
            function=part.function,
            argument=part.label,
        )


def captured_notes(agent: ExtendedAgent, code: bytes, looking_so: Collection[str]) -> list[str]:
    """What to tell of variables of this process that look like secrets, where a variable of the code holds one."""
    return [
        f"{_place(part)} holds the value of {name}, which is stored with the code: read it in the phase, "
        f'os.environ["{name}"], and launch with_options(secrets=["{name}"])'
        for part, name in _holders(agent, code, looking_so)
    ]


def _holders(agent: ExtendedAgent, code: bytes, names: Collection[str]) -> Iterator[tuple[Part, str]]:
    values = {name: value for name in names if len(value := os.environ.get(name, "")) >= SHORTEST_SECRET}
    there = {name: value for name, value in values.items() if value.encode("utf-8", "surrogateescape") in code}
    if not there:
        return
    found = list(walk(vars(agent.travelling())))
    variables = [part for part in found if part.function is not None]
    for name, value in there.items():
        for parts in (variables, found):  # of what a variable holds, the variable is named
            holders = [part for part in parts if _holds(part.value, value)]
            if holders:
                yield holders[0], name
                break


def _holds(value: Any, text: str, depth: int = _DEEPEST) -> bool:
    if isinstance(value, str):
        return text in value
    if not depth or not isinstance(value, _CONTAINERS):
        return False
    return any(_holds(each, text, depth - 1) for each in (value.values() if isinstance(value, dict) else value))


def _place(part: Part) -> str:
    return f"`{part.label}`, which `{part.function}` uses," if part.function else f"`{part.label}` of the agent"
