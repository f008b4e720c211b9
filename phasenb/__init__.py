"""phasenb: durable, phased tasks for Jupyter.

The public API, and nothing else: each name is imported when it is first used, so that ``import phasenb`` costs little
and a worker never loads a client. Errors are in ``phasenb.errors``, fakes for tests in ``phasenb.testing``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from phasenb.core.launchers import set_finder, set_launcher

if TYPE_CHECKING:
    from phasenb.agents import adapters
    from phasenb.agents.workflow import Workflow
    from phasenb.client.async_client import AsyncClient
    from phasenb.client.client import Client
    from phasenb.client.defaults import connect, launch, memory, results, resume_launches, task, tasks
    from phasenb.client.handle import TaskHandle
    from phasenb.client.sessions import session
    from phasenb.core.extended_agent import ExtendedAgent
    from phasenb.dto.phase import Step
    from phasenb.errors import PhasenbError, TaskCancelled, TaskFailed

__version__ = "0.1.0"
__all__ = [
    "AsyncClient", "Client", "ExtendedAgent", "PhasenbError", "Step", "TaskCancelled", "TaskFailed", "TaskHandle",
    "Workflow", "adapters", "connect", "launch", "memory", "results", "resume_launches", "session", "task", "tasks",
]  # fmt: skip

_HOMES = {
    "AsyncClient": "client.async_client",
    "Client": "client.client",
    "ExtendedAgent": "core.extended_agent",
    "PhasenbError": "errors",
    "Step": "dto.phase",
    "TaskCancelled": "errors",
    "TaskFailed": "errors",
    "TaskHandle": "client.handle",
    "Workflow": "agents.workflow",
    "connect": "client.defaults",
    "launch": "client.defaults",
    "memory": "client.defaults",
    "resume_launches": "client.defaults",
    "results": "client.defaults",
    "session": "client.sessions",
    "task": "client.defaults",
    "tasks": "client.defaults",
    "adapters": "agents.adapters",
    "_jupyter_server_extension_points": "server",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'phasenb' has no attribute {name!r}")
    module = importlib.import_module(f"phasenb.{home}")
    found = module if home.rpartition(".")[2] == name else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])


def _launch(*args: Any) -> Any:
    from phasenb.client.defaults import launch_agent

    return launch_agent(*args)


def _last(*args: Any) -> Any:
    from phasenb.client.defaults import last_of

    return last_of(*args)


# Agents' way to a client, which the layers below do not know. At once: code from a pickle names nothing of ours.
set_launcher(_launch)
set_finder(_last)
