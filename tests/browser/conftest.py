"""A real JupyterLab with the extension and authentication on, and a real headless Chromium."""

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
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Lab:
    url: str
    token: str
    folder: Path
    process: subprocess.Popen

    def open(self, page, notebook):
        """Open a notebook and wait until its kernel is connected."""
        page.goto(f"{self.url}lab/tree/{notebook}?token={self.token}")
        page.wait_for_function(
            """() => {
                const panel = window.jupyterapp?.shell?.currentWidget;
                return panel?.sessionContext?.session?.kernel?.connectionStatus === 'connected';
            }""",
            timeout=90_000,
        )


def chromium():
    named = os.environ.get("PHASENB_TEST_CHROMIUM", "")
    found = next(filter(None, map(shutil.which, [named, "chromium", "chromium-browser", "google-chrome"])), None)
    if found is None:
        pytest.fail("No Chromium was found: run tests/browser/install_chromium.sh, or set PHASENB_TEST_CHROMIUM.")
    return found


@pytest.fixture(autouse=True)
def jp_asyncio_loop():
    """Not pytest-jupyter's loop: Playwright runs one of its own in this thread."""


@pytest.fixture(autouse=True)
def jp_server_cleanup():
    """Nothing to clean up: the server is another process."""


@pytest.fixture(scope="module")  # not longer: Playwright's loop occupies this thread, and other tests run loops too
def browser():
    with sync_playwright() as playwright:
        # Without a sandbox and shared memory, as containers have it.
        options = {"args": ["--no-sandbox", "--disable-dev-shm-usage"], "executable_path": chromium()}
        browser = playwright.chromium.launch(**options)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1180, "height": 900}, device_scale_factor=1)
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


# What a person may set too: no news to be asked about, and cells that stay on the page when they scroll out of sight.
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}


def lab_settings(folder):
    for name, values in SETTINGS.items():
        path = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    return folder


@pytest.fixture
def lab(tmp_path):
    """JupyterLab on a copy of notebooks/, with folders and a store of its own."""
    folder = tmp_path / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    environ = {
        **os.environ,
        "JUPYTER_TOKEN": token,
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(lab_settings(tmp_path / "settings")),
        "PHASENB_STORE_URL": str(tmp_path / "phasenb.db"),
    }
    options = [f"--ServerApp.port={port}", f"--ServerApp.root_dir={folder}", "--no-browser", "--allow-root"]
    command = [sys.executable, "-m", "jupyterlab", *options, "--expose-app-in-browser"]
    log = tmp_path / "lab.log"
    with log.open("w") as sink:
        process = subprocess.Popen(command, env=environ, stdout=sink, stderr=sink)
    lab = Lab(f"http://127.0.0.1:{port}/", token, folder, process)
    try:
        wait_until_healthy(lab, log)
        yield lab
    finally:
        process.terminate()
        process.wait(30)


def wait_until_healthy(lab, log):
    request = urllib.request.Request(f"{lab.url}phasenb/api/health?token={lab.token}")
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except OSError as error:
            assert lab.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"{error}\n{log.read_text()}"
            lab.process.poll()
