"""A notebook that is renamed, moved, copied or deleted in Jupyter, with real kernels: which session it has."""

import os
import textwrap
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError

import pytest

from phasenb.core.notebooks import session_of

FLOW = """
import phasenb as pn
flow = pn.Workflow("renamed")

@flow.implementation
def go(n):
    return n + 1

def launched(n, **options):
    task = flow.with_options(key="once", **options).launch(n=n)
    print(task.result(60), pn.connect().session, len(pn.tasks()))
"""


class Notebook:
    """A notebook file of the server, and its kernel; ``path`` is as the server has it."""

    def __init__(self, server, path):
        self.server, self.path = server, path
        if not (server.folder / path).exists():
            server.request(f"api/contents/{path}", {"type": "notebook"}, "PUT")
        self.kernel = self.server.kernel(self.path)
        self.kernel_id = Path(self.kernel.connection_file).stem.removeprefix("kernel-")

    def run(self, code):
        printed = []

        def take(message):
            if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                printed.append(message["content"]["text"])

        reply = self.kernel.execute_interactive(textwrap.dedent(code), timeout=60, output_hook=take)["content"]
        assert reply["status"] == "ok", "\n".join(reply.get("traceback", []))
        return "".join(printed).split()

    def launch(self, n=1, before=""):
        """(result, session, tasks in it)."""
        result, session, tasks = self.run(f"{FLOW}\n{before}\nlaunched({n})")
        return int(result), session, int(tasks)

    def restart(self):
        self.server.request(f"api/kernels/{self.kernel_id}/restart", {})
        self.kernel.wait_for_ready(timeout=60)

    def renamed(self, path):
        """As JupyterLab does: the file, then the session of the page that has it open."""
        rename(self.server, self.path, path)
        self.follow(path)

    def follow(self, path):
        (session,) = [each for each in self.server.request("api/sessions") if each["kernel"]["id"] == self.kernel_id]
        self.path = path
        self.server.request(f"api/sessions/{session['id']}", {"path": path, "name": Path(path).name}, "PATCH")


def rename(server, old, new):
    server.request(f"api/contents/{old}", {"path": new}, "PATCH")


def notebooks_of(server, session):
    """Where the server says that the session's tasks were launched, below its folder."""
    found = [task["notebook"] for task in server.request(f"phasenb/api/tasks?session={session}")["tasks"]]
    return [path and str(Path(path).relative_to(server.folder)) for path in found]


@pytest.fixture(scope="module")
def server(module_jupyter_process):
    return module_jupyter_process[0]()


def test_tasks_and_keys_follow_a_rename_and_a_folders_move(server):
    notebook = Notebook(server, "Untitled.ipynb")
    _, session, _ = notebook.launch()
    assert notebooks_of(server, session) == ["Untitled.ipynb"]
    notebook.renamed("report.ipynb")
    assert notebook.launch(5) == (2, session, 1), "the running kernel goes on in its session"
    notebook.restart()
    assert notebook.launch(5) == (2, session, 1)
    assert notebooks_of(server, session) == ["report.ipynb"]
    server.request("api/contents/sub", {"type": "directory"}, "PUT")
    notebook.renamed("sub/report.ipynb")
    rename(server, "sub", "archive")
    notebook.follow("archive/report.ipynb")
    notebook.restart()
    assert notebook.launch(5) == (2, session, 1)
    assert notebooks_of(server, session) == ["archive/report.ipynb"]

    result, other, tasks = Notebook(server, "Untitled.ipynb").launch(7)
    assert (result, tasks) == (8, 1)
    assert other != session, "a new notebook where another one used to be"


def test_a_rename_before_the_first_launch_and_one_that_no_page_followed(server):
    notebook = Notebook(server, "Untitled2.ipynb")
    notebook.renamed("early.ipynb")  # the kernel's variable is the old path
    result, session, tasks = notebook.launch()
    assert (result, tasks) == (2, 1)
    assert session.startswith("nb:early-")
    rename(server, "early.ipynb", "final.ipynb")  # closed meanwhile, its kernel runs on
    notebook.restart()
    assert notebook.launch(5) == (2, session, 1)
    assert Notebook(server, "final.ipynb").launch(5) == (2, session, 1)
    assert notebooks_of(server, session) == ["final.ipynb"]


def test_a_copy_and_a_file_in_the_place_of_a_deleted_one_are_new(server):
    notebook = Notebook(server, "one.ipynb")
    _, session, _ = notebook.launch()
    copied = server.request("api/contents/", {"copy_from": "one.ipynb"}, "POST")["path"]
    result, other, tasks = Notebook(server, copied).launch(5)
    assert (result, tasks) == (6, 1)
    assert other != session
    server.request("api/contents/one.ipynb", method="DELETE")
    assert notebook.launch(5) == (2, session, 1), "its kernel still runs"
    server.request("api/contents/one.ipynb", {"type": "notebook"}, "PUT")
    notebook.restart()  # whoever opens the new file gets the kernel that is there
    result, new, tasks = notebook.launch(7)
    assert (result, tasks) == (8, 1)
    assert notebooks_of(server, session) == [None]
    assert notebooks_of(server, new) == ["one.ipynb"]


def test_a_chosen_session_stays_and_live_tasks_tell_where_their_notebook_is(server):
    notebook = Notebook(server, "two.ipynb")
    slow = "import time\n@flow.planning\ndef wait():\n    time.sleep(120)\nprint(flow.launch(n=1).task_id)"
    (task_id,) = notebook.run(f"{FLOW}\npn.session('nightly')\n{slow}")
    notebook.renamed("three.ipynb")
    notebook.restart()
    assert notebook.run(f"{FLOW}\npn.session('nightly')\nprint(pn.connect().session)") == ["nightly"]
    assert notebooks_of(server, "nightly") == ["three.ipynb"]
    assert server.request(f"phasenb/api/tasks/{task_id}")["notebook"] == str(server.folder / "three.ipynb")
    server.request(f"phasenb/api/tasks/{task_id}/cancel", {})


def test_a_name_that_is_no_utf8_is_a_name_like_any_other_and_keeps_nobody_out(server):
    notebook = Notebook(server, "latin.ipynb")
    _, session, _ = notebook.launch()
    with suppress(HTTPError):  # the file has the name by then; Jupyter fails to put it into its answer
        rename(server, notebook.path, "caf\udce9.ipynb")
    assert os.fsencode(server.folder / "caf\udce9.ipynb") in map(os.fsencode, server.folder.iterdir())
    assert notebook.launch(5) == (2, session, 1)
    assert Notebook(server, "another.ipynb").launch() == (2, session_of(str(server.folder / "another.ipynb")), 1)
    assert notebooks_of(server, session) == ["caf\\udce9.ipynb"]
