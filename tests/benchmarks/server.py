"""A real Jupyter server with the extension, for what needs one: started on a free port, with a token."""

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path


def start_server(folder: Path, root: Path | None = None, app: str = "jupyter_server", options: Sequence[str] = ()):
    """(process, base url with a slash, token); ready when it returns. Its log is ``folder/server.log``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    environ = {
        **os.environ,
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "PHASENB_STORE_URL": str(folder / "server.db"),
    }
    command = [sys.executable, "-m", app, f"--port={port}", f"--IdentityProvider.token={token}"]
    command += [f"--ServerApp.root_dir={root or folder}", "--no-browser", "--allow-root", *options]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}/"
    wait_until_healthy(process, url, token)
    return process, url, token


def wait_until_healthy(process, url, token, timeout_s=60):
    request = urllib.request.Request(f"{url}phasenb/api/health", headers={"Authorization": f"token {token}"})
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
