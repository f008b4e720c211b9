"""JupyterLab with jupyter-collaboration: a notebook that is edited together has its own session, and keeps it."""

import nbformat

from tests.browser.test_task_in_a_cell import RUN_ALL, open_notebook

CELL = """
import phasenb as pn

flow = pn.Workflow("penguins")

@flow.phase("count")
def count():
    return 344

flow.with_options(key="once").launch()
"""
# Each page of a notebook that is edited together has a socket to its room.
TOGETHER = "/api/collaboration/room/"
# As the file browser does it: the file, and the pages that have it open follow.
RENAME = "() => window.jupyterapp.serviceManager.contents.rename('cell.ipynb', 'counted.ipynb')"
SESSION_PATH = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.path"


def lab_with(environment, jupyter_process, tmp_path):
    """A server with the extension, and a notebook of one cell."""
    options = ["--expose-app-in-browser", f"--SQLiteYStore.db_path={tmp_path}/ystore.db"]
    lab = jupyter_process("jupyterlab", python=environment("beside").python, options=options)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [nbformat.v4.new_code_cell(CELL)]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    (lab.folder / "cell.ipynb").write_text(nbformat.writes(notebook))
    return lab


def the_task(lab):
    (task,) = lab.request("phasenb/api/tasks")["tasks"]
    return task


def test_a_notebook_that_is_edited_together_has_its_session_and_keeps_it(environment, jupyter_process, tmp_path, page):
    lab = lab_with(environment, jupyter_process, tmp_path)
    rooms = []
    page.on("websocket", lambda socket: rooms.append(socket.url) if TOGETHER in socket.url else None)
    open_notebook(lab, page)
    page.evaluate(RUN_ALL)
    page.locator(".phasenb-task[data-state=completed]").wait_for()
    assert rooms, "the notebook is edited together"

    task = the_task(lab)
    assert task["notebook"] == str(lab.folder / "cell.ipynb"), "without the drive's name"
    assert task["session"].startswith("nb:cell-")

    page.evaluate(RENAME)
    page.wait_for_function(f"() => ({SESSION_PATH})().endsWith('counted.ipynb')")
    assert the_task(lab)["notebook"] == str(lab.folder / "counted.ipynb")
    page.evaluate("() => { window.jupyterapp.commands.execute('phasenb:open'); }")
    panel = page.locator("#phasenb-panel")
    panel.get_by_text("penguins").first.click()
    panel.get_by_role("button", name="Open counted.ipynb").wait_for()

    # A kernel that knows the notebook by its new path only: the key finds the task of the old one.
    kernel = lab.kernel("counted.ipynb")
    reply = kernel.execute_interactive(CELL + "\nassert len(pn.tasks()) == 1", timeout=60)["content"]
    assert reply["status"] == "ok", reply
    assert the_task(lab)["session"] == task["session"]
