"""What a notebook that a program executed keeps of its tasks: how they ended, one style sheet, and no code."""

import json
import subprocess
import sys

import nbformat

CELL = """
import phasenb as pn

flow = pn.Workflow("doubling")

@flow.phase("work")
def work(n):
    return n * 2

@flow.phase("fail")
def fail(n):
    return 1 / n
"""
BYTES = 6_000  # of a task: its text, its HTML, once for the page and once for a widget that rests


def executed(tmp_path, *cells):
    """As ``jupyter nbconvert --execute`` writes it."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made = [nbformat.v4.new_code_cell(cell) for cell in (CELL, *cells)]
    path = tmp_path / "in.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernel}), path)
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", str(path), "--output", "out.ipynb"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    return (tmp_path / "out.ipynb").read_text()


def test_tasks_that_have_ended_leave_no_code_and_one_style_sheet(tmp_path, monkeypatch):
    monkeypatch.setenv("PHASENB_STORE_URL", str(tmp_path / "phasenb.db"))
    waits = "waits = flow.with_options(approve_before=['fail']).launch(n=1)"  # its display goes on beside the others
    launches = [f"flow.launch(n={n}).wait(timeout=120)" for n in (1, 2)]
    failure = "flow.launch(n=0).wait(timeout=120)"
    text = executed(tmp_path, waits, *launches, failure)
    assert text.count("<style>") == 1
    notebook = json.loads(text)
    tasks = [cell["outputs"] for cell in notebook["cells"][2:]]
    for outputs, ended in zip(tasks, ("completed", "completed", "failed"), strict=True):
        (output,) = [each for each in outputs if "data" in each]
        assert "application/vnd.jupyter.widget-view+json" not in output["data"]
        assert f": {ended} " in "".join(output["data"]["text/plain"]), "it says how it ended"
    states = notebook["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
    codes = sorted(len(state["state"]["_esm"]) for state in states if "_esm" in state["state"])
    assert len(codes) == 4
    assert max(codes[:3]) < 100
    alive = codes[3] * 1.5  # the one that waits has its code, as JSON
    assert len(text) - alive < 4 * BYTES + 12_000
