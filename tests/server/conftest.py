"""A real Jupyter server with the extension in it, and a socket that speaks the protocol."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

AGENT = """
import phasenb.agents.workflow

flow = phasenb.agents.workflow.Workflow("three")


@flow.research
def research(ctx, path):
    for step in range(4):
        ctx.update((step + 1) / 4, f"chunk {step}")
    print("looked at", path)
    ctx.artifact("table", {"rows": 3})
    return {"rows": 3}


@flow.planning
def planning(research):
    return research["rows"] * 2


@flow.implementation
def implementation(planning):
    return planning + 1


slow = phasenb.agents.workflow.Workflow("slow", phases=("wait",))


@slow.phase("wait")
def wait(ctx, seconds=60):
    import time

    end = time.monotonic() + seconds
    while time.monotonic() < end and not ctx.cancelled:
        time.sleep(0.02)
"""


@pytest.fixture
def agents_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the module of the registered agents, where workers find it."""
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "server_test_agents.py").write_text(AGENT)
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def phasenb_config(tmp_path: Path) -> dict[str, Any]:
    """``c.PhaseNB``: tests change it before the server starts."""
    folder = tmp_path / "store"
    folder.mkdir()
    return {
        "store": {"url": str(folder / "phasenb.db")},
        "executor": {"workers": 2, "kill_grace_s": 1},
        "agents": {"three": "server_test_agents:flow", "slow": "server_test_agents:slow"},
    }


@pytest.fixture
def jp_server_config(agents_folder: Path, phasenb_config: dict[str, Any]) -> dict[str, Any]:
    extensions = {"phasenb": True, "jupyter_server_terminals": False}
    return {
        "ServerApp": {"jpserver_extensions": extensions, "allow_unauthenticated_access": False},
        "PhaseNB": phasenb_config,
    }


@pytest.fixture
def app(jp_serverapp: Any) -> Any:
    """The extension."""
    return jp_serverapp.extension_manager.extension_points["phasenb"].app


class Socket:
    """A client's end of a socket."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self.connection = connection
        self.frames: list[dict[str, Any]] = []
        self._ids = 0

    async def read(self, within_s: float = 30) -> dict[str, Any] | None:
        """The next frame; None when the socket is closed."""
        async with asyncio.timeout(within_s):
            text = await self.connection.read_message()
        if text is None:
            return None
        frame: dict[str, Any] = json.loads(text)
        self.frames.append(frame)
        return frame

    async def event(self, kind: str, task_id: str) -> dict[str, Any]:
        """A task's first event of a kind: one that was read already, or the next to come."""
        while True:
            for frame in self.events(task_id):
                if frame["type"] == kind:
                    return frame
            if await self.read() is None:
                raise AssertionError(f"closed with {self.connection.close_code} before {kind}: {self.frames}")

    async def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send a command; its answer."""
        self._ids += 1
        message_id = f"c{self._ids}"
        await self.connection.write_message(json.dumps({"id": message_id, "type": kind, **fields}))
        while (frame := await self.read()) is not None:
            if frame.get("reply_to") == message_id:
                return frame
        raise AssertionError(f"closed with {self.connection.close_code}: {self.frames}")

    def events(self, task_id: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame.get("task_id") == task_id and "at" in frame]


@pytest.fixture
def url(jp_base_url: str, jp_http_port: int, http_server: Any) -> Any:
    """``url("api/health", scheme="http")``: a path of the extension on the running server."""

    def made(path: str, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{jp_http_port}{jp_base_url}phasenb/{path}"

    return made


@pytest.fixture
def open_socket(url: Any, jp_auth_header: dict[str, str]) -> Any:
    """``await open_socket(hello="nb:one")``: a socket, with ``hello`` said unless it is None."""

    async def opened(hello: str | None = "nb:one", headers: dict[str, str] | None = None, query: str = "") -> Socket:
        request = HTTPRequest(url("ws", "ws") + query, headers=jp_auth_header if headers is None else headers)
        socket = Socket(await websocket_connect(request))
        if hello is not None:
            assert (await socket.ask("hello", protocol=1, session=hello))["type"] == "welcome"
        return socket

    return opened


@pytest.fixture
def api(jp_fetch: Any) -> Any:
    """``await api("tasks", limit=3)``: (status, body) of a GET, errors too."""

    async def fetched(*path: str, **query: Any) -> tuple[int, Any]:
        params = {name: str(value) for name, value in query.items()}
        response = await jp_fetch("phasenb", "api", *path, params=params, raise_error=False)
        return response.code, json.loads(response.body)

    return fetched
