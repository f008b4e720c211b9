"""The labextension's view in a cell: live from the server, whatever happens to the page and the kernel."""

import json

import pytest

CELL = """
import phasenb as pn

flow = pn.Workflow("penguins", phases=("research", "planning"))

@flow.phase("research")
def research(ctx, folder):
    import pathlib, time
    done = 0.0
    while done < 1:
        told = float(pathlib.Path(folder, "done").read_text() or 0)
        if told > done:
            done = told
            ctx.update(done, f"{done:.0%} of the eggs counted")
        time.sleep(0.02)
    return [{"species": "Adelie", "eggs": 2}, {"species": "Gentoo", "eggs": 1}]

@flow.phase("planning")
def planning(research):
    return research

flow.launch(folder="progress")
"""
GATED = """
import phasenb as pn

flow = pn.Workflow("penguins", phases=("plan", "fit")).with_options(approve_before=["fit"])

@flow.phase("plan")
def plan():
    return {"model": "forest", "folds": 5}

@flow.phase("fit")
def fit(plan):
    if plan["folds"] > 5:
        raise ValueError(f"{plan['folds']} folds of 344 penguins are too many")

flow.launch()
"""
KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
# What the restarted kernel did, not a status that it passes through: that may be over when it is asked for.
ANSWERED = f"async () => (await {KERNEL}.requestExecute({{code: 'pass'}}).done).content.status"
BUSY = f"""() => new Promise((begun) => {{
  const future = {KERNEL}.requestExecute({{code: 'import time; print(1, flush=True); time.sleep(600)'}});
  future.onIOPub = (message) => {{ if (message.header.msg_type === 'stream') begun(); }};
}})"""
CONNECTED = "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.connectionStatus"
RUN_ALL = "() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }"
SAVE = "() => window.jupyterapp.commands.execute('docmanager:save')"


class Progress:
    """How far the running phase is: the test says it, and the phase takes it up."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "done"
        self.set(0)

    def set(self, share):
        fresh = self._file.with_suffix(".new")
        fresh.write_text(str(share))
        fresh.replace(self._file)


@pytest.fixture
def progress(tmp_path):
    """In a folder beside the notebook, whose path is no machine's."""
    return Progress(tmp_path / "notebooks" / "progress")


@pytest.fixture
def lab_with(jupyter_process, tmp_path):
    """JupyterLab with one notebook, cell.ipynb, of one cell."""
    return lambda source, app="jupyterlab", options=(): start(jupyter_process, tmp_path, source, app, options)


@pytest.fixture
def notebook(lab_with):
    """... that launches a task which goes as far as ``progress`` says."""
    return lab_with(CELL)


def start(jupyter_process, tmp_path, source, app, options=()):
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None, "source": source}
    kernel = {"name": "python3", "display_name": "Python 3"}
    files = tmp_path / "files"
    files.mkdir()
    content = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (files / "cell.ipynb").write_text(json.dumps(content))
    return jupyter_process(app, files=files, options=["--expose-app-in-browser", *options])


def open_notebook(lab, page):
    page.goto(f"{lab.url}lab/tree/cell.ipynb?token={lab.token}")
    page.wait_for_function(f"() => ({CONNECTED})() === 'connected'", timeout=90_000)


@pytest.fixture
def told(page):
    """What the page's console has of type errors, and of what nobody caught."""
    found = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda line: found.append(line.text) if line.type == "error" else None)
    return lambda: [text for text in found if "TypeError" in text or "phasenb" in text]


PLAN = '{"model": "forest", "folds": 400, "learning_rate": 1.0, "seed": 12345678901234567}'


def approve_edited(task):
    """Approve PLAN in the place of the one that GATED asks for; its editor is open."""
    task.get_by_label("goes on with this once you approve, as JSON").fill(PLAN)
    task.get_by_role("button", name="Approve").click()


def approved_as_written(lab):
    """No number of PLAN went through JavaScript."""
    task_id = lab.request("phasenb/api/tasks")["tasks"][0]["task_id"]
    events = lab.request(f"phasenb/api/tasks/{task_id}/events")["events"]
    given = [event for event in events if event["type"] == "approval_given"]
    assert [repr(event["edited"]) for event in given] == [repr(json.loads(PLAN))]


def test_a_task_in_a_cell_outlives_page_and_kernel(notebook, progress, page, picture, told):
    open_notebook(notebook, page)
    page.evaluate(RUN_ALL)
    task = page.locator(".jp-OutputArea-output .phasenb-task")
    task.wait_for()
    assert page.locator(".jp-OutputArea-output .jupyter-widgets").count() == 0
    progress.set(0.25)
    task.get_by_text("25% of the eggs counted").wait_for()

    page.evaluate(SAVE)
    open_notebook(notebook, page)
    task.get_by_text("25% of the eggs counted").wait_for()
    progress.set(0.4)
    task.get_by_text("40% of the eggs counted").wait_for()
    assert task.locator(".phasenb-connection").is_hidden()
    page.screenshot(path=picture("cell-running.png"))

    page.evaluate(f"() => {KERNEL}.restart()")
    progress.set(0.6)
    task.get_by_text("60% of the eggs counted").wait_for()

    assert told() == []
    assert page.evaluate(ANSWERED) == "ok"
    page.evaluate(BUSY)
    task.get_by_role("button", name="Cancel").press("Enter")  # and not JupyterLab, whose key this is in a cell
    page.locator(".phasenb-task[data-state=cancelled]").wait_for()
    assert task.get_by_role("button", name="Retry").is_enabled()


def test_a_task_that_ended_while_nobody_looked_shows_its_end(notebook, progress, page, picture):
    open_notebook(notebook, page)
    page.evaluate(RUN_ALL)
    page.locator(".phasenb-task").wait_for()
    page.evaluate(SAVE)
    page.goto("about:blank")
    progress.set(1)
    task_id = notebook.request("phasenb/api/tasks")["tasks"][0]["task_id"]
    open_notebook(notebook, page)
    task = page.locator(".phasenb-task[data-state=completed]")
    task.wait_for()
    task.locator("table").wait_for()
    assert task.locator("tr").all_inner_texts() == ["species\teggs", "Adelie\t2", "Gentoo\t1"]
    assert task_id[-8:] in task.inner_text()
    page.screenshot(path=picture("cell-completed.png"))


def test_a_killed_server_is_told_of_and_the_task_goes_on_with_the_next_one(
    notebook, jupyter_process, progress, page, picture
):
    open_notebook(notebook, page)
    page.evaluate(RUN_ALL)
    task = page.locator(".jp-OutputArea-output .phasenb-task")
    task.wait_for()
    progress.set(0.3)
    task.get_by_text("30% of the eggs counted").wait_for()
    notebook.process.kill()
    notebook.process.wait()
    task.get_by_text("If the task stopped with it, it goes on when the server is back. Reconnecting…").wait_for()
    assert "as of" in task.locator(".phasenb-state").inner_text()
    assert task.get_by_role("button", name="Cancel").is_disabled()
    page.screenshot(path=picture("cell-reconnecting.png"))

    jupyter_process("jupyterlab", options=["--expose-app-in-browser"], like=notebook)
    task.locator(".phasenb-connection").wait_for(state="hidden")
    progress.set(0.7)
    task.get_by_text("70% of the eggs counted").wait_for()
    task.get_by_text("attempt 2, as the server or its machine stopped in attempt 1").wait_for()
    progress.set(1)
    page.locator(".phasenb-task[data-state=completed]").wait_for()


def test_a_plan_is_edited_in_the_cell_and_a_failure_shows_the_persons_own_line(lab_with, page, picture):
    lab = lab_with(GATED)
    open_notebook(lab, page)
    page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    page.locator("body[data-jp-theme-light=false]").wait_for(state="attached")
    page.evaluate(RUN_ALL)
    task = page.locator(".jp-OutputArea-output .phasenb-task")
    task.get_by_role("button", name="Edit").click()
    page.screenshot(path=picture("cell-approval-dark.png"))
    approve_edited(task)
    page.locator(".phasenb-task[data-state=failed]").wait_for()
    assert "ValueError in fit: 400 folds of 344 penguins are too many" in task.inner_text()
    assert "the notebook, line 12, in fit" in task.inner_text()  # IPython takes leading empty lines away
    page.screenshot(path=picture("cell-failed-dark.png"))
    approved_as_written(lab)
