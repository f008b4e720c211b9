"""JupyterLab in which phasenb's extension is switched off: a task in a cell is live there by the kernel's widget."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_core.paths import jupyter_path

from tests.browser.test_shared_and_saved import launch
from tests.browser.test_task_in_a_cell import (
    CELL,
    GATED,
    KERNEL,
    RUN_ALL,
    SAVE,
    approve_edited,
    approved_as_written,
    lab_with,
    notebook,
    open_notebook,
    progress,
    start,
)

__all__ = ["lab_with", "notebook", "progress"]  # fixtures
DARK = "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def lab_without(jupyter_process, tmp_path):
    """JupyterLab with one notebook, of one cell, and without phasenb's extension."""

    def lab(source):
        command = [sys.executable, "-m", "jupyter", "labextension", "disable", "--level=user", "phasenb"]
        environ = {**os.environ, "JUPYTER_CONFIG_DIR": str(tmp_path / "config")}
        subprocess.run(command, env=environ, check=True, capture_output=True)
        return start(jupyter_process, tmp_path, source, "jupyterlab")

    return lab


@pytest.fixture
def lab_of_ipywidgets(jupyter_process, tmp_path):
    """JupyterLab as where neither phasenb nor anywidget is installed, only ipywidgets; the kernel has them."""
    folder = tmp_path / "labextensions"
    folder.mkdir()
    installed = (Path(each, "@jupyter-widgets") for each in jupyter_path("labextensions"))
    (folder / "@jupyter-widgets").symlink_to(next(each for each in installed if each.is_dir()))
    return start(jupyter_process, tmp_path, CELL, "jupyterlab", [f"--LabApp.labextensions_path={folder}"])


def outputs(lab):
    (cell,) = json.loads((lab.folder / "cell.ipynb").read_text())["cells"]
    return [output["data"] for output in cell["outputs"] if "data" in output]


def running(lab, page, progress):
    """The widget of the notebook's task, once it has told of its progress."""
    open_notebook(lab, page)
    page.evaluate(RUN_ALL)
    task = page.locator(".jp-OutputArea-output .phasenb-widget .phasenb-task")
    task.wait_for()
    progress.set(0.25)
    task.get_by_text("25% of the eggs counted").wait_for()
    return task


def test_the_widget_is_live_also_while_the_kernel_is_busy_and_its_buttons_work(lab_without, progress, page, picture):
    lab = lab_without(CELL)
    task = running(lab, page, progress)
    page.screenshot(path=picture("widget-running.png"))

    page.evaluate(f"() => {{ {KERNEL}.requestExecute({{code: 'import time; time.sleep(20)'}}); }}")
    page.wait_for_function(f"() => {KERNEL}.status === 'busy'")
    progress.set(0.4)
    task.get_by_text("40% of the eggs counted").wait_for()
    assert page.locator(".phasenb-task").count() == 1

    page.evaluate(f"() => {KERNEL}.interrupt()")
    task.get_by_role("button", name="Cancel").click()
    page.get_by_text("cancelled").first.wait_for()
    page.locator(".jp-OutputArea-output .pnb").wait_for()
    page.evaluate(SAVE)
    (output,) = outputs(lab)
    assert WIDGET not in output
    assert "cancelled" in output["text/plain"][0]
    (told,) = lab.request("phasenb/api/tasks")["tasks"]
    assert told["state"] == "cancelled"


def test_a_plan_is_edited_in_the_widget_as_it_was_written(lab_without, page, tmp_path):
    lab = lab_without(GATED)
    open_notebook(lab, page)
    page.evaluate(DARK)
    page.locator("body[data-jp-theme-light=false]").wait_for(state="attached")
    page.evaluate(RUN_ALL)
    task = page.locator(".jp-OutputArea-output .phasenb-widget .phasenb-task")
    task.get_by_role("button", name="Edit").click()
    page.screenshot(path=tmp_path / "approval-dark.png")
    approve_edited(task)
    page.locator(".jp-OutputArea-output .pnb").get_by_text("400 folds of 344 penguins are too many").first.wait_for()
    approved_as_written(lab)


def test_a_kernel_that_is_gone_is_not_shown_as_going_on(lab_without, progress, page):
    lab = lab_without(CELL)
    task = running(lab, page, progress)
    page.evaluate(f"() => {KERNEL}.shutdown()")
    task.get_by_text("The kernel does not tell of this task any more").wait_for()
    assert "as of" in task.locator(".phasenb-state").inner_text()
    assert task.get_by_role("button", name="Cancel").is_disabled()


def test_with_the_extension_a_notebook_is_saved_without_the_widget(notebook, progress, page):
    launch(notebook, page, progress)
    (output,) = outputs(notebook)
    assert output.keys() == {"application/vnd.phasenb.task+json", "text/html", "text/plain"}
    assert "running, 12 %" in output["text/plain"][0]


def test_a_page_that_has_no_anywidget_has_html_that_follows(lab_of_ipywidgets, progress, page):
    open_notebook(lab_of_ipywidgets, page)
    page.evaluate(RUN_ALL)
    task = page.locator(".jp-OutputArea-output .pnb")
    task.wait_for()
    progress.set(0.25)
    task.get_by_text("running, 12 %").wait_for()
    progress.set(1)
    task.get_by_text("completed").first.wait_for()
