"""phasenb: durable, phased tasks for Jupyter.

The public API, and nothing else: each name is imported when it is first used, so that ``import phasenb`` costs little
and a worker never loads a client. Errors are in ``phasenb.errors``, fakes for tests in ``phasenb.testing``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from phasenb.core.launchers import set_finder, set_launcher

if TYPE_CHECKING:
    from typing import TypeAlias

    from phasenb.agents import adapters
    from phasenb.agents.workflow import Workflow as _Workflow
    from phasenb.client.async_client import AsyncClient
    from phasenb.client.client import Client
    from phasenb.client.defaults import (
        approve,
        cancel,
        connect,
        deny,
        events,
        give_up,
        last,
        launch,
        logs,
        memory,
        pause,
        results,
        resume,
        resume_launches,
        retry,
        source,
        task,
        tasks,
    )
    from phasenb.client.handle import TaskHandle
    from phasenb.client.sessions import session
    from phasenb.core.context import Context
    from phasenb.core.extended_agent import ExtendedAgent as _ExtendedAgent
    from phasenb.dto.phase import Step
    from phasenb.errors import PhasenbError, TaskCancelled, TaskFailed

    # What `launch` returns, which the layer that has the classes does not know.
    Workflow: TypeAlias = _Workflow[TaskHandle]
    ExtendedAgent: TypeAlias = _ExtendedAgent[TaskHandle]

__version__ = "0.1.0"
__all__ = [
    "AsyncClient", "Client", "Context", "ExtendedAgent", "PhasenbError", "Step", "TaskCancelled", "TaskFailed",
    "TaskHandle", "Workflow", "adapters", "approve", "cancel", "connect", "deny", "events", "give_up", "last", "launch",
    "logs", "memory", "pause", "results", "resume", "resume_launches", "retry", "session", "source", "task",
    "tasks",
]  # fmt: skip

_ELSEWHERE = {
    "AsyncClient": "client.async_client",
    "Client": "client.client",
    "Context": "core.context",
    "ExtendedAgent": "core.extended_agent",
    "PhasenbError": "errors",
    "Step": "dto.phase",
    "TaskCancelled": "errors",
    "TaskFailed": "errors",
    "TaskHandle": "client.handle",
    "Workflow": "agents.workflow",
    "adapters": "agents.adapters",
    "session": "client.sessions",
    "_jupyter_server_extension_points": "server",
}
_HOMES = {name: _ELSEWHERE.get(name, "client.defaults") for name in (*__all__, *_ELSEWHERE)}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise _no_such_name(name)
    module = importlib.import_module(f"phasenb.{home}")
    found = module if home.rpartition(".")[2] == name else getattr(module, name)
    globals()[name] = found
    return found


def _no_such_name(name: str) -> Exception:
    if name.startswith("_"):
        return AttributeError(f"module 'phasenb' has no attribute {name!r}")
    from phasenb.core.launch_check import suggestion
    from phasenb.errors import NoSuchName

    return NoSuchName("phasenb", name, suggestion(name, __all__))


def __dir__() -> list[str]:
    """The public names alone: what completion shows."""
    return sorted(__all__)


def _launch(*args: Any) -> Any:
    from phasenb.client.defaults import launch_agent

    return launch_agent(*args)


def _last(*args: Any) -> Any:
    from phasenb.client.defaults import last_of

    return last_of(*args)


# Agents' way to a client, which the layers below do not know. At once: code from a pickle names nothing of ours.
set_launcher(_launch)
set_finder(_last)
