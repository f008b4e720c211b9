"""A notebook's kernel and its Jupyter server: discovery, other environments, displays, reconnection, remote clients."""

import asyncio
import os
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import pandas as pd
import pytest

import phasenb as pn
from tests.conftest import run_cell

FLOW = """
import phasenb as pn
flow = pn.Workflow("cells")

@flow.research
def look(ctx, n):
    for i in ctx.track(range(n)):
        pass
    return n

@flow.implementation
def do(research):
    return research * 2
"""


class Notebook:
    """Cells run in a kernel; what they displayed is kept."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.messages = []

    def run(self, code, ok=True):
        """The text that the cell printed."""
        reply, messages = run_cell(self.kernel, textwrap.dedent(code))
        self.messages += messages
        assert not ok or reply["status"] == "ok", "\n".join(reply.get("traceback", []))
        told = [message["content"] for message in messages if message["msg_type"] == "stream"]
        return "".join(content["text"] for content in told if content["name"] == "stdout")

    def displays(self):
        kinds = ("display_data", "update_display_data")
        return [(m["msg_type"], m["content"]["data"]) for m in self.messages if m["msg_type"] in kinds]


@pytest.fixture
def notebook(jupyter_process):
    server = jupyter_process()
    return server, Notebook(server.kernel())


def test_a_cell_launches_on_the_server_and_a_new_kernel_finds_the_task(notebook):
    server, cells = notebook
    cells.run(FLOW)
    assert cells.run("task = flow.with_options(key='k').launch(n=1000)\nprint(task.result())") == "2000\n"
    first = cells.run("print(task.task_id)")
    told = server.request(f"phasenb/api/tasks/{first.strip()}")
    assert told["notebook"] == str(server.folder / "one.ipynb")
    kinds = [set(data) for kind, data in cells.displays()]
    widget = "application/vnd.jupyter.widget-view+json"  # for a page without the extension
    assert kinds[0] == {"application/vnd.phasenb.task+json", widget, "text/html", "text/plain"}

    again = Notebook(server.kernel())
    again.run(FLOW)
    assert again.run("task = flow.with_options(key='k').launch(n=1000)\nprint(task.task_id)") == first
    assert again.run("print(len(pn.tasks()), task.output('research'), pn.task(task.task_id).state)") == (
        "1 1000 completed\n"
    )
    other = Notebook(server.kernel("two.ipynb"))
    assert other.run("import phasenb as pn\nprint(len(pn.tasks()), len(pn.tasks(scope='user')))") == "0 1\n"
    assert len(server.request("phasenb/api/tasks")["tasks"]) == 1


def test_the_final_state_is_written_into_the_cell(notebook):
    _, cells = notebook
    cells.run(FLOW)
    cells.run("task = flow.launch(n=10)\ntask.wait()")
    deadline = 100
    while not any(
        kind == "update_display_data" and "completed" in data["text/html"] for kind, data in cells.displays()
    ):
        cells.run("None")
        deadline -= 1
        assert deadline, "the display was never replaced by its final state"
    final = next(data for kind, data in reversed(cells.displays()) if kind == "update_display_data")
    assert "application/vnd.jupyter.widget-view+json" not in final
    assert "completed" in final["text/html"]
    assert final["application/vnd.phasenb.task+json"]["snapshot"]["state"] == "completed"


def make_environment(folder):
    """A second virtual environment: the tests' own packages by a .pth file, and a package of its own."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    paths = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", vars=paths))
    root = Path(pn.__file__).parents[1]
    (packages / "shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n{root}\n")
    (packages / "only_here.py").write_text("NAME = 'the second environment'\n")
    return folder / "bin" / "python"


def test_a_kernel_of_another_environment_just_works(jupyter_process, tmp_path):
    python = make_environment(tmp_path / "other")
    spec = tmp_path / "share" / "kernels" / "other" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(
        f'{{"argv": ["{python}", "-m", "ipykernel_launcher", "-f", "{{connection_file}}"], "display_name": "other"}}'
    )
    server = jupyter_process(environ={"JUPYTER_PATH": str(tmp_path / "share")})
    (server.folder / "helpers.py").write_text("FACTOR = 2\n")
    (server.folder / "data.txt").write_text("21")
    cells = Notebook(server.kernel(name="other"))
    cells.run("""
        import phasenb as pn

        def work():
            import only_here, helpers
            return [only_here.NAME, int(open("data.txt").read()) * helpers.FACTOR]
    """)
    assert cells.run("print(pn.launch(work).result())") == "['the second environment', 42]\n"
    (server.folder / "helpers.py").write_text("FACTOR = 100\n")
    assert cells.run("print(pn.launch(work).result())") == "['the second environment', 2100]\n"


def test_a_frame_is_an_input(notebook):
    server, _ = notebook
    frame = pd.DataFrame({"x": range(200_000), "name": ["penguin"] * 200_000})
    with pn.connect(server.url, server.token, session="frames") as client:

        def work(df):
            return df.describe()

        task = client.launch(pn.ExtendedAgent(work).with_options(show=False), df=frame)
        pd.testing.assert_frame_equal(task.result(), frame.describe())


def test_a_remote_client_speaks_and_a_wrong_token_is_refused(notebook):
    server, _ = notebook

    async def main():
        async with pn.AsyncClient(server.url, token=server.token, session="nightly") as client:
            task = await client.launch(lambda goal: goal * 2, goal=21)
            return await task

    assert asyncio.run(main()) == 42
    with pytest.raises(pn.PhasenbError, match="refused access"):
        pn.connect(server.url, "wrong")


def test_a_cut_connection_resumes_without_gap_or_repeat(notebook, cutting_proxy, tmp_path):
    server, _ = notebook
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    def wait_at(path):
        Path(path).read_text()  # a named pipe: opens when the test writes to it
        return "went on"

    async def main():
        async with (
            cutting_proxy(server.port) as proxy,
            pn.AsyncClient(proxy.url, token=server.token, session="cut") as client,
        ):
            task = await client.launch(wait_at, path=str(gate))
            proxy.cut()
            await asyncio.to_thread(gate.write_text, "go")
            result = await task
            events = await task.events()
        return result, list(events["seq"]), proxy.sockets

    result, seqs, sockets = asyncio.run(asyncio.wait_for(main(), 60))
    assert result == "went on"
    assert seqs == list(range(1, len(seqs) + 1))
    assert sockets >= 2, "the client came back by itself"


def test_a_server_that_is_down_is_an_error_and_no_fall_back(jupyter_process):
    server = jupyter_process()
    server.process.kill()
    server.process.wait()
    # In a process with a kernel's variables: a kernel itself ends a second after its server.
    runtime = str(server.log.parent / "runtime")
    environ = {**os.environ, "JPY_PARENT_PID": str(server.process.pid), "JUPYTER_RUNTIME_DIR": runtime}
    code = f"{FLOW}\nflow.launch(n=1)"
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "does not answer" in done.stderr
