"""A real JupyterHub with one user: a kernel of the server that it spawned launches, and the hub's token lists."""

import json
import subprocess
import time
import urllib.request
from urllib.error import HTTPError, URLError

import pytest

from tests.conftest import JupyterProcess, free_port

SERVICE_TOKEN = "a-service-of-the-tests"
CONFIGURATION = """
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_port = {hub_port}
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/secret"
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.services = [{{"name": "tests", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [
    {{"name": "tests", "services": ["tests"], "scopes": ["read:hub", "admin:users", "admin:servers", "access:servers",
      "tokens"]}}
]
c.Authenticator.allow_all = True
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.auth_token = "{token}"
c.ConfigurableHTTPProxy.pid_file = "{folder}/proxy.pid"
c.SimpleLocalProcessSpawner.home_dir_template = "{folder}/{{username}}"
c.Spawner.args = ["--allow-root"]
c.Spawner.environment = {{
    "JUPYTER_RUNTIME_DIR": "{folder}/runtime", "PHASENB_STORE_URL": "{folder}/phasenb.db", "HOME": "{folder}/ada"
}}
"""
CELL = """
import phasenb as pn

flow = pn.Workflow("counting")

@flow.phase("count")
def count():
    return 42

task = flow.launch()
assert task.result(timeout=60) == 42
"""


@pytest.fixture
def hub(environment, tmp_path):
    """``request(path, method, body)`` on a running hub's API; its URL."""
    beside = environment("beside")
    port, hub_port, proxy_port = free_port(), free_port(), free_port()
    configuration = tmp_path / "jupyterhub_config.py"
    configuration.write_text(
        CONFIGURATION.format(port=port, hub_port=hub_port, proxy_port=proxy_port, folder=tmp_path, token=SERVICE_TOKEN)
    )
    log = tmp_path / "hub.log"
    with log.open("w") as sink:
        process = subprocess.Popen(
            [beside.bin / "jupyterhub", "-f", configuration],
            env=beside.environ(),
            cwd=tmp_path,
            stdout=sink,
            stderr=sink,
        )
    url = f"http://127.0.0.1:{port}/"

    def request(path, method="GET", body=None):
        headers = {"Authorization": f"token {SERVICE_TOKEN}", "Content-Type": "application/json"}
        asked = urllib.request.Request(f"{url}hub/api/{path}", json.dumps(body).encode() if body else None, headers)
        asked.method = method
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.loads(answer.read() or "null")

    def until(holds):
        deadline = time.monotonic() + 120
        while True:
            try:
                if found := holds():
                    return found
            except (HTTPError, URLError) as error:
                # 404: of the proxy, to which the hub has not told its own address yet.
                assert not isinstance(error, HTTPError) or error.code >= 500 or error.code == 404, error
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)

    until(lambda: request("info"))
    yield url, request, until, log, process
    process.terminate()
    process.wait(60)


def test_a_users_kernel_launches_and_the_hubs_token_lists(hub, environment, tmp_path):
    url, request, until, log, process = hub
    (tmp_path / "ada").mkdir()
    request("users/ada", "POST")
    request("users/ada/server", "POST", {})
    until(lambda: request("users/ada")["servers"].get("", {}).get("ready"))
    token = request("users/ada/tokens", "POST", {"note": "tests"})["token"]
    server = JupyterProcess(f"{url}user/ada/", token, tmp_path / "ada", process, log)
    kernel = server.kernel()
    try:
        reply = kernel.execute_interactive(CELL, timeout=120, output_hook=lambda message: None)
        assert reply["content"]["status"] == "ok", reply["content"]
    finally:
        kernel.stop_channels()
    (task,) = server.request("phasenb/api/tasks")["tasks"]
    assert task["state"] == "completed"
    listed = environment("beside").run("phasenb", "--url", server.url, "--token", token, "tasks")
    assert "counting" in listed.stdout
    assert "blocked" not in listed.stderr, "the hub's proxy lets WebSockets through"
