"""``make demo``: the quickstart notebook on a real Jupyter server and a real kernel, its task live in this terminal.

Exit code 0 only if every cell ran and the task completed.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client import BlockingKernelClient
from jupyter_core.paths import jupyter_runtime_dir
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

import phasenb as pn

HERE = Path(__file__).resolve().parent
NOTEBOOK = HERE / "quickstart.ipynb"
CELL_TIMEOUT_S = 600
KERNEL_TIMEOUT_S = 120
LINE_EVERY_S = 3.0
console = Console()


class Server:
    """A Jupyter server on a free port, with a token of its own, that ends with its ``with`` block."""

    def __init__(self, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.token = secrets.token_hex(16)
        self.url = f"http://127.0.0.1:{port}/"
        self.log = log
        options = [f"--ServerApp.port={port}", f"--ServerApp.root_dir={HERE}", "--no-browser"]
        # The token goes by the environment: a command line can be read by others on the machine.
        environ = {**os.environ, "JUPYTER_TOKEN": self.token, "PYTHONUNBUFFERED": "1"}
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            options.append("--allow-root")
        with log.open("w") as sink:
            command = [sys.executable, "-m", "jupyter_server", *options]
            self.process = subprocess.Popen(command, env=environ, stdout=sink, stderr=sink)

    def __enter__(self) -> Server:
        deadline = time.monotonic() + 60
        while True:
            try:
                self.request("phasenb/api/health")
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.process.kill()
                    raise SystemExit(
                        f"The Jupyter server did not start ({error}); its log:\n{self.log.read_text()}"
                    ) from None
                time.sleep(0.1)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def request(self, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def kernel(self) -> BlockingKernelClient:
        """A kernel of this server for the notebook, as JupyterLab would start it."""
        kernel = {"name": "python3"}
        session = {"path": NOTEBOOK.name, "name": NOTEBOOK.name, "type": "notebook", "kernel": kernel}
        started = self.request("api/sessions", session)
        client = BlockingKernelClient(
            connection_file=str(Path(jupyter_runtime_dir()) / f"kernel-{started['kernel']['id']}.json")
        )
        client.load_connection_file()
        # No heartbeat: it takes a kernel that is silent for a second for dead, and a loaded machine's starts slower.
        client.start_channels(hb=False)
        client.wait_for_ready(timeout=KERNEL_TIMEOUT_S)
        return client


def watch(server: Server, stop: threading.Event) -> None:
    """Show the phases of every task of this user while the notebook runs: as bars, or line by line."""
    if console.is_terminal:
        watch_bars(server, stop)
    else:
        watch_lines(server, stop)


def watch_lines(server: Server, stop: threading.Event) -> None:
    """A line for each change of a phase, and one now and then while it runs."""
    told: dict[tuple[str, str], str] = {}
    spoke = time.monotonic()
    with pn.connect(server.url, server.token, session="demo") as client:
        while not stop.wait(0.2):
            for task in client.states(scope="user"):
                for phase in task.phases:
                    key, status = (task.task_id, phase.name), str(phase.status)
                    due = status == "running" and time.monotonic() - spoke > LINE_EVERY_S
                    if status == told.get(key, "pending") and not due:
                        continue
                    told[key], spoke = status, time.monotonic()
                    note = f" {phase.percent:.0f} % {task.message or ''}" if status == "running" else ""
                    console.print(f"{phase.name}: {status}{note}".rstrip(), markup=False, highlight=False)


def watch_bars(server: Server, stop: threading.Event) -> None:
    """Bars that move in place."""
    bars: dict[tuple[str, str], Any] = {}
    columns = (TextColumn("{task.description:>16}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with (
        pn.connect(server.url, server.token, session="demo") as client,
        Progress(*columns, TextColumn("{task.fields[note]}"), console=console) as progress,
    ):
        while not stop.wait(0.2):
            for task in client.states(scope="user"):
                for phase in task.phases:
                    key = (task.task_id, phase.name)
                    if phase.status == "pending":
                        continue
                    if key not in bars:
                        bars[key] = progress.add_task(phase.name, total=100, note="")
                    running = phase.status == "running"
                    note = (task.message or "") if running else str(phase.status)
                    progress.update(bars[key], completed=phase.percent, note=note)
                    if not running:
                        progress.stop_task(bars[key])


def run_cells(kernel: BlockingKernelClient) -> bool:
    """Run the notebook's code cells in order; whether all of them did."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        reply = kernel.execute_interactive(cell.source, timeout=CELL_TIMEOUT_S, output_hook=show)
        if reply["content"]["status"] != "ok":
            return False
    return True


def show(message: dict[str, Any]) -> None:
    """A cell's output as text."""
    content = message["content"]
    if message["msg_type"] == "stream":
        console.print(content["text"].rstrip(), markup=False, highlight=False)
    elif message["msg_type"] == "execute_result":
        console.print(content["data"].get("text/plain", ""), markup=False, highlight=False)
    elif message["msg_type"] == "error":
        console.print("\n".join(content["traceback"]), markup=False, highlight=False)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="phasenb-demo-") as folder:
        os.environ["PHASENB_STORE_URL"] = str(Path(folder) / "phasenb.db")
        console.print("Starting a Jupyter server with phasenb ...")
        with Server(Path(folder) / "server.log") as server:
            console.print(f"Running {NOTEBOOK.name} in a kernel of the server at {server.url}")
            kernel = server.kernel()
            stop = threading.Event()
            watcher = threading.Thread(target=watch, args=(server, stop))
            watcher.start()
            try:
                ran = run_cells(kernel)
            finally:
                stop.set()
                watcher.join()
                kernel.stop_channels()
            with pn.connect(server.url, server.token, session="demo") as client:
                tasks = client.tasks(scope="user")
            completed = ran and len(tasks) > 0 and bool((tasks["state"] == "completed").all())
    if completed:
        console.print("\nThe task completed. `make lab` opens the same notebook in JupyterLab.")
        return 0
    console.print("\nThe task did not complete.", style="bold red")
    return 1


if __name__ == "__main__":
    sys.exit(main())
