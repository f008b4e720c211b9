"""The side panel and its surroundings: tasks of a notebook and from elsewhere, steered, found, told of, launched."""

import json
from pathlib import Path

import pytest

AGENTS = '''
import pathlib
import time
from typing import Literal

import phasenb as pn

flow = pn.Workflow("penguins")


@flow.research
def explore(ctx, folder: str, species: Literal["Adelie", "Gentoo"] = "Adelie", rows: int = 3, note=None):
    """Count the eggs of one species of penguins."""
    done = 0.0
    while done < 1:
        told = float(pathlib.Path(folder, "done").read_text())
        if told > done:
            done = told
            ctx.update(done, f"{done:.0%} of the eggs counted")
        time.sleep(0.02)
    return {"species": species, "eggs": rows, "note": note}


@flow.planning
def plan(research):
    return {"method": "mean", "of": research["species"]}


@flow.implementation
def fit(planning, research):
    if planning["method"] == "none":
        raise ValueError("there is nothing to fit with")
    return [planning["method"], research["eggs"]]
'''
CELL = "import panel_agents\npanel_agents.flow.with_options(name='from a notebook').launch(folder=FOLDER)"
LAB = "window.jupyterapp"
IN_FRONT = f"() => {LAB}.shell.currentWidget?.context?.path"
AXE = Path(__file__).parents[2] / "labextension" / "node_modules" / "axe-core" / "axe.min.js"


class Lab:
    """A JupyterLab server, its folder of agents, and a page on it."""

    def __init__(self, server, folder):
        self.server = server
        self.folder = folder
        self.page = None

    def progress(self, share):
        fresh = self.folder / "done.new"
        fresh.write_text(str(share))
        fresh.replace(self.folder / "done")

    def launch(self, name, session="nightly", **options):
        """Launched elsewhere: over HTTP, by no notebook of this page. Its task_id."""
        inputs = {"folder": str(self.folder), **options.pop("inputs", {})}
        body = {"agent": "penguins", "inputs": inputs, "options": {"name": name, **options}, "session": session}
        return self.server.request("phasenb/api/tasks", body)["task_id"]

    def open(self, page, path=""):
        """A page without what an earlier one left: no documents, no side bar as it was."""
        self.page = page
        page.goto(f"{self.server.url}lab/workspaces/w{id(page)}{path}?reset&token={self.server.token}")
        page.wait_for_function(f"() => {LAB}?.commands?.hasCommand('phasenb:open')")
        page.wait_for_function(f"() => {LAB}.restored.then(() => true)")

    def run(self, command, arguments="{}"):
        self.page.evaluate(f"() => {{ {LAB}.commands.execute('{command}', {arguments}); }}")

    def panel(self):
        self.run("phasenb:open")
        panel = self.page.locator("#phasenb-panel")
        panel.wait_for()
        return panel

    def row(self, name):
        return self.page.locator("#phasenb-panel .phasenb-row", has=self.page.get_by_text(name, exact=True))

    def names(self):
        return self.page.locator("#phasenb-panel .phasenb-row-name").all_inner_texts()


@pytest.fixture(scope="module")
def jupyter(module_jupyter_process):
    start, folder = module_jupyter_process
    agents = folder / "agents"
    agents.mkdir()
    (agents / "panel_agents.py").write_text(AGENTS)
    (agents / "done").write_text("0")
    source = f"import sys\nsys.path.insert(0, {str(agents)!r})\nFOLDER = {str(agents)!r}\n{CELL}"
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None, "source": source}
    kernel = {"name": "python3", "display_name": "Python 3"}
    files = folder / "files"
    (files / "birds").mkdir(parents=True)
    content = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (files / "birds" / "penguins.ipynb").write_text(json.dumps(content))
    options = ["--expose-app-in-browser", '--PhaseNB.agents={"penguins": "panel_agents:flow"}']
    return start("jupyterlab", files=files, options=options, environ={"PYTHONPATH": str(agents)}), agents


@pytest.fixture
def lab(jupyter):
    """Afterwards nothing runs any more."""
    server, folder = jupyter
    lab = Lab(server, folder)
    lab.progress(0)
    yield lab
    for task in server.request("phasenb/api/tasks?limit=1000")["tasks"]:
        if "cancel" in task["actions"]:
            server.request(f"phasenb/api/tasks/{task['task_id']}/cancel", {})


def test_tasks_of_a_notebook_and_from_elsewhere(lab, page, picture):
    lab.launch("from elsewhere", labels={"team": "birds"})
    lab.open(page, "/tree/birds/penguins.ipynb")
    page.wait_for_function(
        f"() => {LAB}.shell.currentWidget?.sessionContext?.session?.kernel?.connectionStatus === 'connected'",
        timeout=90_000,
    )
    lab.run("notebook:run-all-cells")
    panel = lab.panel()
    lab.row("from a notebook").wait_for()
    lab.row("from elsewhere").wait_for()
    lab.progress(0.45)
    lab.row("from a notebook").get_by_text("45% of the eggs counted").wait_for()
    lab.row("from elsewhere").get_by_text("45% of the eggs counted").wait_for()
    page.screenshot(path=picture("panel-light.png"))

    panel.get_by_label("Only of the notebook in front").check()
    assert lab.names() == ["from a notebook"]
    panel.get_by_label("Only of the notebook in front").uncheck()

    lab.row("from elsewhere").click()
    detail = panel.locator(".phasenb-detail")
    detail.get_by_text("Launched in the session nightly").wait_for()
    assert detail.get_by_role("button", name="Open").count() == 0
    lab.row("from a notebook").click()
    page.evaluate(f"() => {LAB}.shell.currentWidget.dispose()")
    page.wait_for_function(f"() => ({IN_FRONT})() === undefined")
    detail.get_by_role("button", name="Open penguins.ipynb").click()
    page.wait_for_function(f"() => ({IN_FRONT})() === 'birds/penguins.ipynb'")
