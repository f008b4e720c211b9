"""Debian's nginx in front of a real Jupyter server: as docs/proxy.md has it, and as people have it by mistake."""

import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
import pytest

from tests.browser.test_task_in_a_cell import RUN_ALL, open_notebook
from tests.conftest import free_port
from tests_outside.environments import command_path

ROOT = Path(__file__).parents[2]
DOCUMENTED = re.search(r"```nginx\n(.*?)```", (ROOT / "docs" / "proxy.md").read_text(), re.DOTALL).group(1)
WITHOUT_UPGRADE = re.sub(r"\n.*proxy_set_header (Upgrade|Connection).*", "", DOCUMENTED)
SMALL_BODIES = DOCUMENTED.replace("client_max_body_size 0", "client_max_body_size 10k")

FLOW = """
import phasenb as pn

flow = pn.Workflow("counting")

@flow.phase("count")
def count(ctx, n, ballast=None):
    for step in range(n):
        ctx.update((step + 1) / n, f"{step + 1} of {n}")
        print("line", step)
    return n
"""


@pytest.fixture
def nginx(tmp_path):
    """``nginx(server block, port of the Jupyter server)``: the URL of a running one."""
    running = []

    def start(server, port):
        listen = free_port()
        server = server.replace("listen 8080", f"listen 127.0.0.1:{listen}").replace(
            "127.0.0.1:8888", f"127.0.0.1:{port}"
        )
        folder = tmp_path / f"nginx-{listen}"
        folder.mkdir()
        temporary = "".join(
            f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration = folder / "nginx.conf"
        configuration.write_text(
            f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
            f"events {{}}\nhttp {{ access_log {folder}/access.log; {temporary}\n{server}\n}}\n"
        )
        command = command_path("nginx")
        assert command, "nginx is missing: python -m tests_outside.environments installs it where it may"
        running.append(subprocess.Popen([command, "-p", folder, "-c", configuration, "-e", folder / "error.log"]))
        url = f"http://127.0.0.1:{listen}/"
        deadline = time.monotonic() + 20
        while True:
            try:
                urlopen(url, timeout=5).close()
            except URLError as error:
                if hasattr(error, "code"):
                    return url  # an answer, be it a refusal
                assert running[-1].poll() is None, (folder / "error.log").read_text()
                assert time.monotonic() < deadline, error
            else:
                return url

    yield start
    for process in running:
        process.terminate()
        process.wait(20)


def phasenb(url, token, *arguments):
    command = [sys.executable, "-m", "phasenb", "--url", url, "--token", token, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


CLIENT = (
    FLOW
    + """
import sys

client = pn.connect(sys.argv[1], token=sys.argv[2], session="behind")
task = client.launch(flow, n=3)
print("result", task.result(timeout=60), "listed", list(client.tasks()["state"]), "lines", len(task.logs()))
"""
)


def test_as_documented_the_socket_gets_through_and_large_inputs_too(nginx, jupyter_process):
    server = jupyter_process()
    url = nginx(DOCUMENTED, server.port)
    done = python(CLIENT.replace("n=3", "n=3, ballast=bytes(3_000_000)"), url, server.token)
    assert done.stdout == "result 3 listed ['completed'] lines 3\n", done.stderr
    assert "blocked" not in done.stderr


def test_without_upgrade_headers_python_and_the_command_go_on_by_http_and_say_so_once(nginx, jupyter_process):
    server = jupyter_process()
    url = nginx(WITHOUT_UPGRADE, server.port)
    done = python(CLIENT, url, server.token)
    assert done.stdout == "result 3 listed ['completed'] lines 3\n", done.stderr
    assert done.stderr.count("live updates are blocked between here and") == 1
    listed = phasenb(url, server.token, "tasks")
    assert "counting" in listed.stdout, listed.stderr
    assert listed.stderr.count("live updates are blocked") == 1


def test_a_body_limit_is_named_with_the_setting_that_raises_it(nginx, jupyter_process):
    server = jupyter_process()
    large = CLIENT.replace("n=3", "n=3, ballast=bytes(300_000)")
    for configuration in (SMALL_BODIES, SMALL_BODIES.replace("$http_upgrade;  #", "''; #")):
        done = python(large, nginx(configuration, server.port), server.token)
        assert done.returncode == 1
        assert "answered 413" in done.stderr.splitlines()[-1]
        assert "client_max_body_size" in done.stderr.splitlines()[-1]


def test_a_server_that_is_down_behind_it_is_named(nginx):
    url = nginx(DOCUMENTED, free_port())
    done = phasenb(url, "x", "tasks")
    assert done.returncode == 4, done
    assert "answered 502: it has no connection to the server" in done.stderr


def test_cells_and_panel_go_on_without_the_socket_and_say_so(nginx, jupyter_process, page):
    """In Lab itself kernels need WebSockets: phasenb's alone is blocked, as by a proxy with a list of paths."""
    server = jupyter_process("jupyterlab", options=["--expose-app-in-browser"])
    alone = DOCUMENTED.replace("location / {", "location /phasenb/ws { return 403; }\n    location / {")
    url = nginx(alone, server.port)
    kernel = {"name": "python3", "display_name": "Python 3"}
    cells = [nbformat.v4.new_code_cell(FLOW), nbformat.v4.new_code_cell("task = flow.launch(n=3)")]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    (server.folder / "cell.ipynb").write_text(nbformat.writes(notebook))
    through = type(server)(url, server.token, server.folder, server.process, server.log)
    open_notebook(through, page)
    page.evaluate(RUN_ALL)
    page.locator(".phasenb-task[data-state=completed]").wait_for()
    page.evaluate("() => { window.jupyterapp.commands.execute('phasenb:open'); }")
    page.locator(".phasenb-panel-connection").get_by_text("Live updates are blocked").wait_for()
    page.locator(".phasenb-row").get_by_text("counting").first.wait_for()
