"""Which path is served by which handler; jupyter_server puts its base URL before each."""

from __future__ import annotations

from typing import Any

from phasenb.server import tasks
from phasenb.server.objects import ObjectHandler
from phasenb.server.socket import PhaseSocket

_API = r"/phasenb/api"
_TASK = rf"{_API}/tasks/([^/]+)"

HANDLERS: list[tuple[str, type[Any]]] = [
    (r"/phasenb/ws", PhaseSocket),
    (rf"{_API}/health", tasks.HealthHandler),
    (rf"{_API}/agents", tasks.AgentsHandler),
    (rf"{_API}/results", tasks.ResultsHandler),
    (rf"{_API}/tasks", tasks.TasksHandler),
    (_TASK, tasks.TaskHandler),
    (rf"{_TASK}/events", tasks.EventsHandler),
    (rf"{_TASK}/logs", tasks.LogsHandler),
    (rf"{_TASK}/results", tasks.ResultsHandler),
    (rf"{_TASK}/artifacts/([^/]+)/(\d+)/([^/]+)", tasks.ArtifactHandler),
    (rf"{_API}/objects/([^/]+)", ObjectHandler),
]
