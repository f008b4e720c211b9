"""Shared by all tests: pytest-jupyter's server in this process, a Jupyter server of its own, hypothesis' profile."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, settings
from jupyter_client import BlockingKernelClient

import phasenb

pytest_plugins = ["pytest_jupyter.jupyter_server"]

settings.register_profile("phasenb", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("phasenb")

# What a person may set too: no news to be asked about, and cells that stay on the page when they scroll out of sight.
LAB_SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}


# A shell that starts the tests in the background has them ignore Ctrl-C, and so would all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class JupyterProcess:
    """A Jupyter server with the extension and authentication on, in a process and folders of its own."""

    url: str
    token: str
    folder: Path
    process: subprocess.Popen
    log: Path
    kernels: list = field(default_factory=list)

    @property
    def port(self):
        return urlsplit(self.url).port

    def request(self, path, body=None, method=None):
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(asked, timeout=30) as response:
            return json.loads(response.read() or "null")

    def kernel(self, notebook="one.ipynb", name="python3"):
        """A client of a kernel that this server started for a notebook."""
        session = {"path": notebook, "name": notebook, "type": "notebook", "kernel": {"name": name}}
        kernel = self.request("api/sessions", session)["kernel"]
        connection = self.log.parent / "runtime" / f"kernel-{kernel['id']}.json"
        client = BlockingKernelClient(connection_file=str(connection))
        client.load_connection_file()
        # No heartbeat: it takes a kernel that is silent for a second for dead, and a loaded machine's starts slower.
        client.start_channels(hb=False)
        self.kernels.append(client)
        client.wait_for_ready(timeout=60)
        return client

    def wait_until_healthy(self, path):
        deadline = time.monotonic() + 150  # many tests may share the machine
        while True:
            try:
                return self.request(path)
            except OSError as error:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, f"{error}\n{self.log.read_text()}"


def lab_settings(folder):
    for name, values in LAB_SETTINGS.items():
        path = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    return folder


def config_without(folder, parts):
    """A Jupyter configuration in which phasenb's part for the "server", or for "lab", is not there."""
    switches = {
        "server": ("jupyter_server_config.d/phasenb.json", {"ServerApp": {"jpserver_extensions": {"phasenb": False}}}),
        "lab": ("labconfig/page_config.json", {"disabledExtensions": {"phasenb": True}}),
    }
    for name, content in map(switches.get, parts):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return folder


def reply_to(kernel, asked, timeout=120):
    """The content of the reply to a request that was sent. A kernel that was slow to start is asked more than once
    whether it is ready, and answers each time.
    """
    while (reply := kernel.get_shell_msg(timeout=timeout))["parent_header"].get("msg_id") != asked:
        pass
    return reply["content"]


def run_cell(kernel, source, timeout=120):
    """(its reply, its messages with the updates of any cell's displays): an update that comes between two cells has the
    one before as its parent.
    """
    asked, messages = kernel.execute(source), []
    while True:
        message = kernel.get_iopub_msg(timeout=timeout)
        own = message["parent_header"].get("msg_id") == asked
        if own and message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return reply_to(kernel, asked, timeout), messages
        if own or message["msg_type"] == "update_display_data":
            messages.append(message)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def listening(treat):
    """The port of a server that has ``treat(connection)`` deal with each connection, and closes it then."""

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # the test is over
            with connection:
                treat(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@contextmanager
def jupyter_processes(tmp_path):
    """``start(app="jupyter_server", files=folder to copy, environ={}, options=[], like=None, without=(),
    python=sys.executable)`` starts a JupyterProcess.

    ``like``: with the port and the token of one that has ended; ``without``: as in config_without; ``python``: the
    interpreter of the environment that it runs in.
    """
    started = []

    def start(app="jupyter_server", files=None, environ=None, options=(), like=None, without=(), python=sys.executable):
        folder = tmp_path / "notebooks"
        folder.mkdir(exist_ok=True)
        if files:
            ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
            shutil.copytree(files, folder, ignore=ignored, dirs_exist_ok=True)
        port, token = (like.port, like.token) if like else (free_port(), secrets.token_hex(16))
        own = {
            "JUPYTER_TOKEN": token,
            "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
            "JUPYTER_CONFIG_DIR": str(config_without(tmp_path / "-".join(["config", *without]), without)),
            "JUPYTER_PREFER_ENV_PATH": "0",  # so that this folder's configuration is laid over the environment's
            "JUPYTERLAB_SETTINGS_DIR": str(lab_settings(tmp_path / "settings")),
            "PHASENB_STORE_URL": str(tmp_path / "phasenb.db"),
        }
        command = [
            str(python),
            "-X",
            "faulthandler",
            "-m",
            app,
            f"--ServerApp.port={port}",
            f"--ServerApp.root_dir={folder}",
        ]
        command += ["--no-browser", "--allow-root", *options]
        log = tmp_path / "server.log"
        with log.open("a") as sink:
            process = subprocess.Popen(command, env={**os.environ, **own, **(environ or {})}, stdout=sink, stderr=sink)
        server = JupyterProcess(f"http://127.0.0.1:{port}/", token, folder, process, log)
        started.append(server)
        server.wait_until_healthy("api/status" if "server" in without else "phasenb/api/health")
        return server

    try:
        yield start
    finally:
        for server in started:
            for client in server.kernels:
                client.stop_channels()  # ZeroMQ waits for ever, at the end of the tests, for sockets that are open
            server.process.terminate()
            _until_ended(server)


def _until_ended(server):
    """Where it does not end, its log says where each of its threads is.

    A request that is in the middle of a file when the server ends leaves anyio's thread behind, which Python then waits
    for without end. That is between Jupyter and anyio: no part of phasenb is in such a server any more.
    """
    try:
        server.process.wait(40)  # many tests may share the machine
    except subprocess.TimeoutExpired:
        server.process.send_signal(signal.SIGABRT)
        server.process.wait(30)
        threads = server.log.read_text().rpartition("Fatal Python error")[2]
        assert "_shutdown" in threads, threads
        assert "anyio" in threads, threads
        assert f"{Path(phasenb.__file__).parent}/" not in threads, threads


@pytest.fixture
def jupyter_process(tmp_path):
    """See ``jupyter_processes``."""
    with jupyter_processes(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def module_jupyter_process(tmp_path_factory):
    """``(start, folder)``: as ``jupyter_process``, one for all tests of a module."""
    folder = tmp_path_factory.mktemp("server")
    with jupyter_processes(folder) as start:
        yield start, folder


class CuttingProxy:
    """A TCP proxy to a port of this machine that cuts connections: all at once (``cut``), or each one on its own after
    ``cut_after()`` bytes to the client (None: never).
    """

    def __init__(self, port, cut_after=lambda: None):
        self._port = port
        self._cut_after = cut_after
        self._pairs = set()
        self.down = False
        self.cuts = 0
        self.sockets = 0  # connections that asked to become a WebSocket

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.cut()

    def cut(self):
        for pair in tuple(self._pairs):
            self._abort(pair)

    def _abort(self, pair):
        self.cuts += pair in self._pairs
        self._pairs.discard(pair)
        for writer in pair:
            writer.transport.abort()

    async def _serve(self, reader, writer):
        if self.down:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        pair = (writer, far_writer)
        self._pairs.add(pair)
        await asyncio.gather(
            self._pump(reader, far_writer, pair, None), self._pump(far_reader, writer, pair, self._cut_after())
        )
        self._pairs.discard(pair)

    async def _pump(self, reader, writer, pair, left):
        try:
            while data := await reader.read(65536):
                if data.startswith(b"GET /phasenb/ws"):
                    self.sockets += 1
                if left is not None and len(data) >= left:
                    writer.write(data[:left])  # in the middle of a frame, as it happens
                    await writer.drain()
                    self._abort(pair)
                    return
                left = None if left is None else left - len(data)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()


@pytest.fixture
def cutting_proxy():
    """``async with cutting_proxy(port, cut_after=function) as proxy``: see CuttingProxy."""
    return CuttingProxy
