"""What ``agent.launch(...)`` and ``agent.last()`` call: the core knows no client, so `import phasenb` says it here.

A module of its own, since it is imported with the package, also in a worker, where an agent comes by its pickle alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phasenb.core.extended_agent import ExtendedAgent

Launcher = Callable[["ExtendedAgent", Mapping[str, Any], Mapping[str, Any]], Any]
Finder = Callable[["ExtendedAgent", Mapping[str, Any]], Any]
_hooks: dict[str, Callable[..., Any]] = {}


def set_launcher(launcher: Launcher) -> None:
    """What ``agent.launch(**inputs)`` calls: ``launcher(agent, inputs, options)``."""
    _hooks["launch"] = launcher


def set_finder(finder: Finder) -> None:
    """What ``agent.last()`` calls: ``finder(agent, options)``."""
    _hooks["last"] = finder


def hook(name: str) -> Callable[..., Any]:
    """Raises LaunchError where none was set."""
    try:
        return _hooks[name]
    except KeyError:
        from phasenb.errors import LaunchError  # imported late: `import phasenb` comes by here

        raise LaunchError("nothing here can launch: `import phasenb` sets the launcher") from None
