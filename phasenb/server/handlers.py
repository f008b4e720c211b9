"""Which path is served by which handler: the paths of web.http_protocol, and the socket.

jupyter_server puts its base URL before each.
"""

from __future__ import annotations

import re
from typing import Any

from phasenb.server import tasks
from phasenb.server.objects import ObjectHandler
from phasenb.server.polling import ConnectionsHandler, ReceiveHandler, SendHandler
from phasenb.server.socket import PhaseSocket
from phasenb.web.http_protocol import OPERATIONS

_HANDLERS: dict[str, type[Any]] = {
    "health": tasks.HealthHandler,
    "agents": tasks.AgentsHandler,
    "agent": tasks.AgentHandler,
    "tasks": tasks.TasksHandler,
    "launch": tasks.TasksHandler,
    "task": tasks.TaskHandler,
    "events": tasks.EventsHandler,
    "logs": tasks.LogsHandler,
    "task_results": tasks.ResultsHandler,
    "results": tasks.ResultsHandler,
    "source": tasks.SourceHandler,
    "artifact": tasks.ArtifactHandler,
    **dict.fromkeys(("put_object", "get_object", "has_object"), ObjectHandler),
    **dict.fromkeys(("cancel", "pause", "resume", "approve", "deny", "retry", "give_up"), tasks.SteeringHandler),
    "resume_launches": tasks.LaunchesHandler,
    "open_connection": ConnectionsHandler,
    "send": SendHandler,
    "receive": ReceiveHandler,
    "asyncapi": tasks.AsyncApiHandler,
    "openapi": tasks.OpenApiHandler,
}


def _pattern(path: str) -> str:
    """A path's regular expression: each ``{name}`` is one segment."""
    return re.sub(r"\\\{\w+\\\}", "([^/]+)", re.escape(path))


_BY_PATH = {_pattern(operation.path): _HANDLERS[operation.name] for operation in OPERATIONS}
HANDLERS: list[tuple[str, type[Any]]] = [
    (r"/phasenb/ws", PhaseSocket),
    *_BY_PATH.items(),
    (r"/phasenb/api/.*", tasks.NoSuchPath),
]
