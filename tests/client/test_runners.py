"""Notebooks that something executes: their session is the notebook's where the kernel can know it."""

import os
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from phasenb.client.runners import notebook_in
from phasenb.core.notebooks import session_of

CELL = "from phasenb.client.sessions import current_session\nprint(current_session())"


@pytest.mark.parametrize(
    ("command", "notebook"),
    [
        ("papermill in.ipynb out.ipynb -p name x.ipynb", "in.ipynb"),
        ("/venv/bin/python3 /venv/bin/papermill -p a b.ipynb -k python3 sub/in.ipynb out.ipynb", "sub/in.ipynb"),
        ("python -m papermill in.ipynb", "in.ipynb"),
        ("python -X dev -m nbconvert --execute a.ipynb", "a.ipynb"),
        ("papermill - out.ipynb", None),
        ("papermill s3://bucket/in.ipynb out.ipynb", "s3://bucket/in.ipynb"),
        ("python /bin/jupyter-nbconvert --to notebook --execute a.ipynb --output b.ipynb", "a.ipynb"),
        ("python /bin/jupyter-nbconvert --execute --output=b.ipynb a.ipynb", "a.ipynb"),
        ("jupyter execute a.ipynb", "a.ipynb"),
        ("jupyter-execute a.ipynb b.ipynb", None),
        ("jupyter-nbconvert --execute *.ipynb", None),
        ("python run_all.py a.ipynb", None),
        ("python -m ipykernel_launcher -f kernel.json", None),
        ("python -c import x a.ipynb", None),
        ("jupyter-lab a.ipynb", None),
        ("", None),
    ],
)
def test_the_notebook_that_a_command_names(command, notebook):
    assert notebook_in(command.split()) == notebook


def written(path, *cells):
    path.parent.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells]), path)
    return path


def printed(notebook):
    return [output["text"].strip() for cell in notebook["cells"] for output in cell.get("outputs", ())]


def plain():
    """The environment of a shell: of no kernel."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("JPY_", "PHASENB_"))}


@pytest.mark.parametrize(
    "command", ["nbconvert --to notebook --execute {} --output done.ipynb", "execute {} --inplace"]
)
def test_a_command_that_executes_a_notebook_is_in_its_session(command, tmp_path):
    path = written(tmp_path / "sub" / "report.ipynb", CELL)
    command = [sys.executable, "-m", "jupyter", *command.format("sub/report.ipynb").split()]
    done = subprocess.run(command, cwd=tmp_path, env=plain(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    made = path.with_name("done.ipynb")
    assert printed(nbformat.read(made if made.exists() else path, 4)) == [session_of(str(path))]


def test_a_notebook_that_a_librarys_function_executes_is_in_its_folders_session(tmp_path, monkeypatch):
    """It can't be known: nbclient tells a kernel nothing but its folder. What the runner's environment says holds."""
    for name in ("JPY_SESSION_NAME", "JPY_PARENT_PID", "PHASENB_SESSION"):
        monkeypatch.delenv(name, raising=False)
    notebook = nbformat.read(written(tmp_path / "report.ipynb", CELL), 4)

    def executed():
        resources = {"metadata": {"path": str(tmp_path)}}
        return printed(NotebookClient(notebook, timeout=120, resources=resources).execute())

    assert executed() == [session_of(str(tmp_path), "py")]
    monkeypatch.setenv("JPY_SESSION_NAME", "report.ipynb")
    assert executed() == [session_of(str(tmp_path / "report.ipynb"))]
    monkeypatch.setenv("PHASENB_SESSION", "nightly")
    assert executed() == ["nightly"]


def test_a_notebook_that_a_notebook_executes_is_not_in_that_ones_session(jupyter_process):
    server = jupyter_process()
    written(server.folder / "inner.ipynb", CELL)
    kernel = server.kernel("outer.ipynb")
    cell = (
        "import nbformat\nfrom nbclient import NotebookClient\n"
        "done = NotebookClient(nbformat.read('inner.ipynb', 4), timeout=120).execute()\n"
        f"print(done.cells[0].outputs[0].text)\n{CELL}"
    )
    lines = []

    def take(message):
        if message["msg_type"] == "stream":
            lines.extend(message["content"]["text"].split())

    kernel.execute_interactive(cell, timeout=120, output_hook=take)
    assert lines == [session_of(str(server.folder), "py"), session_of(str(server.folder / "outer.ipynb"))]


def test_papermills_own_parameter_tells_the_notebook(tmp_path, monkeypatch):
    """``papermill --inject-paths``; its path may be from the folder of the shell, and the kernel elsewhere (--cwd)."""
    path = written(tmp_path / "report.ipynb", "PAPERMILL_INPUT_PATH = 'report.ipynb'", CELL)
    (tmp_path / "sub").mkdir()
    monkeypatch.setenv("PWD", str(tmp_path))
    for name in ("JPY_SESSION_NAME", "PHASENB_SESSION"):
        monkeypatch.delenv(name, raising=False)
    client = NotebookClient(
        nbformat.read(path, 4), timeout=120, resources={"metadata": {"path": str(tmp_path / "sub")}}
    )
    assert printed(client.execute()) == [session_of(str(path))]
