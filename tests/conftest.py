"""Shared by all tests: pytest-jupyter's server in this process, a Jupyter server of its own, hypothesis' profile."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from jupyter_client import BlockingKernelClient

pytest_plugins = ["pytest_jupyter.jupyter_server"]

settings.register_profile("phasenb", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("phasenb")

# What a person may set too: no news to be asked about, and cells that stay on the page when they scroll out of sight.
LAB_SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}


@dataclass(frozen=True)
class JupyterProcess:
    """A Jupyter server with the extension and authentication on, in a process and folders of its own."""

    url: str
    token: str
    folder: Path
    process: subprocess.Popen
    log: Path

    def request(self, path, body=None):
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers), timeout=30) as response:
            return json.load(response)

    def kernel(self, notebook="one.ipynb", name="python3"):
        """A client of a kernel that this server started for a notebook."""
        session = {"path": notebook, "name": notebook, "type": "notebook", "kernel": {"name": name}}
        kernel = self.request("api/sessions", session)["kernel"]
        connection = self.log.parent / "runtime" / f"kernel-{kernel['id']}.json"
        client = BlockingKernelClient(connection_file=str(connection))
        client.load_connection_file()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        return client

    def wait_until_healthy(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.request("phasenb/api/health")
            except OSError as error:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, f"{error}\n{self.log.read_text()}"


def lab_settings(folder):
    for name, values in LAB_SETTINGS.items():
        path = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    return folder


@pytest.fixture
def jupyter_process(tmp_path):
    """``start(app="jupyter_server", files=folder to copy, environ={}, options=[])`` -> JupyterProcess."""
    started = []

    def start(app="jupyter_server", files=None, environ=None, options=()):
        folder = tmp_path / "notebooks"
        folder.mkdir()
        if files:
            ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
            shutil.copytree(files, folder, ignore=ignored, dirs_exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        token = secrets.token_hex(16)
        own = {
            "JUPYTER_TOKEN": token,
            "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
            "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
            "JUPYTERLAB_SETTINGS_DIR": str(lab_settings(tmp_path / "settings")),
            "PHASENB_STORE_URL": str(tmp_path / "phasenb.db"),
        }
        command = [sys.executable, "-m", app, f"--ServerApp.port={port}", f"--ServerApp.root_dir={folder}"]
        command += ["--no-browser", "--allow-root", *options]
        log = tmp_path / "server.log"
        with log.open("w") as sink:
            process = subprocess.Popen(command, env={**os.environ, **own, **(environ or {})}, stdout=sink, stderr=sink)
        server = JupyterProcess(f"http://127.0.0.1:{port}/", token, folder, process, log)
        started.append(server)
        server.wait_until_healthy()
        return server

    yield start
    for server in started:
        server.process.terminate()
        server.process.wait(30)
