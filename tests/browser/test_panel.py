"""The side panel and its surroundings: tasks of a notebook and from elsewhere, steered, found, told of, launched."""

import json
from pathlib import Path

import pytest

AGENTS = '''
import os
import pathlib
import time
from typing import Literal

import phasenb as pn

flow = pn.Workflow("penguins")


@flow.research
def explore(ctx, folder: str, species: Literal["Adelie", "Gentoo"] = "Adelie", rows: int = 3, note=None,
            tags: list[str] | None = None):
    """Count the eggs of one species of penguins."""
    done = 0.0
    while done < 1:
        told = float(pathlib.Path(os.environ["EGGS"], folder, "done").read_text())
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
FOLDER = "antarctica"  # below one that the environment names: a picture shows no path of a machine
CELL = f"""from panel_agents import flow

flow.with_options(name="from a notebook").launch(folder="{FOLDER}")"""
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
        inputs = {"folder": FOLDER, **options.pop("inputs", {})}
        body = {"agent": "penguins", "inputs": inputs, "options": {"name": name, **options}, "session": session}
        return self.server.request("phasenb/api/tasks", body)["task_id"]

    def grow_old(self, task_id):
        """Wait until a task has worked so long that its end is worth a word."""
        self.row(self.server.request(f"phasenb/api/tasks/{task_id}")["name"]).get_by_text("50% of the eggs").wait_for()
        started = self.server.request(f"phasenb/api/tasks/{task_id}")["started_at"]
        self.page.wait_for_function("started => Date.now() - Date.parse(started) > 5000", arg=started)

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
    (agents / FOLDER).mkdir(parents=True)
    (agents / "panel_agents.py").write_text(AGENTS)
    (agents / FOLDER / "done").write_text("0")
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None, "source": CELL}
    kernel = {"name": "python3", "display_name": "Python 3"}
    files = folder / "files"
    (files / "birds").mkdir(parents=True)
    content = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (files / "birds" / "penguins.ipynb").write_text(json.dumps(content))
    options = ["--expose-app-in-browser", '--PhaseNB.agents={"penguins": "panel_agents:flow"}']
    return start(
        "jupyterlab", files=files, options=options, environ={"PYTHONPATH": str(agents), "EGGS": str(agents)}
    ), agents / FOLDER


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


def test_tasks_of_a_notebook_and_from_elsewhere(lab, page):
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

    panel.get_by_role("button", name="This notebook").click()
    assert lab.names() == ["from a notebook"]
    panel.get_by_role("button", name="This notebook").click()

    lab.row("from elsewhere").click()
    detail = panel.locator(".phasenb-detail")
    detail.get_by_text("Launched in the session nightly").wait_for()
    assert detail.get_by_role("button", name="Open").count() == 0
    detail.get_by_role("button", name="All tasks").click()
    lab.row("from a notebook").click()
    page.evaluate(f"() => {LAB}.shell.currentWidget.dispose()")
    page.wait_for_function(f"() => ({IN_FRONT})() === undefined")
    detail.get_by_role("button", name="Open penguins.ipynb").click()
    page.wait_for_function(f"() => ({IN_FRONT})() === 'birds/penguins.ipynb'")


def test_an_approval_with_an_edited_plan(lab, page):
    lab.progress(1)
    lab.open(page)
    task_id = lab.launch("to approve", approve_before=["implementation"], inputs={"species": "Gentoo"})
    toast = page.locator(".Toastify__toast", has_text="to approve waits for your approval before implementation.")
    toast.wait_for()
    page.locator(".phasenb-status").get_by_text("1 task to approve").wait_for()
    toast.get_by_role("button", name="Look and decide").click()
    gate = page.locator("#phasenb-panel .phasenb-gate")
    gate.get_by_text('"of": "Gentoo"').wait_for()
    gate.get_by_role("button", name="Edit").click()
    gate.get_by_role("textbox", name="once you approve, as JSON").fill('{"method": "median"}')
    gate.get_by_role("button", name="Approve").click()
    page.locator("#phasenb-panel .phasenb-task[data-state=completed]").wait_for()
    page.locator(".phasenb-status").wait_for(state="hidden")
    timeline = page.get_by_role("img", name="Timeline of the phases")
    timeline.locator("[data-tone=good]").nth(2).wait_for()
    assert "implementation, attempt 1: complete" in timeline.get_attribute("aria-description")
    results = lab.server.request(f"phasenb/api/tasks/{task_id}/results")["results"]
    assert results[-1]["output"] == ["median", 3]


def test_a_plan_is_found_edited_and_approved_with_the_keyboard_alone(lab, page):
    lab.progress(1)
    lab.launch("by keyboard", approve_before=["implementation"])
    lab.open(page)
    # JupyterLab's launcher takes the focus when it is there.
    page.wait_for_function("() => document.activeElement?.matches('.jp-Launcher')")
    lab.panel()
    lab.row("by keyboard").get_by_text("waits for approval before implementation").wait_for()
    focused = page.locator(":focus")

    def tab_to(label):
        for _ in range(12):
            if label in (focused.inner_text(), focused.get_attribute("aria-label")):
                return
            page.keyboard.press("Tab")
        pytest.fail(f"no way to {label}: the focus is on {focused.evaluate('element => element.outerHTML')}")

    page.wait_for_function("() => document.activeElement?.matches('.phasenb-search')")
    page.keyboard.type("keyboard")
    tab_to("Tasks")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    tab_to("Edit")
    page.keyboard.press("Enter")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type('{"method": "median"}')
    tab_to("Approve")
    page.keyboard.press("Enter")
    page.locator("#phasenb-panel .phasenb-task[data-state=completed]").wait_for()
    page.keyboard.press("Escape")
    assert focused.get_attribute("aria-label") == "Tasks"


def test_what_is_told_and_found(lab, page):
    lab.progress(1)
    lab.launch("before the page")
    lab.open(page)
    panel = lab.panel()
    lab.row("before the page").get_by_text("completed in").wait_for()
    lab.launch("too short")
    lab.row("too short").get_by_text("completed in").wait_for()
    lab.progress(0.5)
    lab.grow_old(lab.launch("while it was open"))
    lab.progress(1)
    page.locator(".Toastify__toast", has_text="while it was open is complete").wait_for()
    assert page.locator(".Toastify__toast", has_text="before the page").count() == 0
    assert page.locator(".Toastify__toast", has_text="too short").count() == 0
    many = [lab.launch(f"of many {number}", approve_before=["implementation"]) for number in range(8)]
    page.locator(".Toastify__toast", has_text="more tasks wait for your approval.").wait_for()
    for task_id in many:
        lab.server.request(f"phasenb/api/tasks/{task_id}/cancel", {})

    page.evaluate(
        f"async () => (await {LAB}.serviceManager.settings.fetch('phasenb:notices')) && "
        f"{LAB}.serviceManager.settings.save('phasenb:notices', '{{\"completed\": false}}')"
    )
    lab.open(page)
    panel = lab.panel()
    gate = {"approve_before": ["implementation"], "labels": {"team": "rockhopper"}}
    failing = lab.launch("without a method", **gate)
    page.locator(".Toastify__toast", has_text="without a method waits").wait_for()
    seq = lab.server.request(f"phasenb/api/tasks/{failing}")["approval"]["seq"]
    answer = {"phase": "implementation", "if_seq": seq, "edit": {"method": "none", "of": "x"}}
    lab.progress(0.5)
    lab.grow_old(lab.launch("told to nobody"))
    lab.progress(1)
    lab.row("told to nobody").get_by_text("completed in").wait_for()
    lab.server.request(f"phasenb/api/tasks/{failing}/approve", answer)
    told = "without a method failed in implementation: ValueError: there is nothing to fit with"
    page.locator(".Toastify__toast", has_text=told).wait_for()
    assert page.locator(".Toastify__toast", has_text="waits for your approval").count() == 0
    assert page.locator(".Toastify__toast", has_text="told to nobody").count() == 0

    panel.get_by_role("searchbox", name="Search tasks").fill("rockhopper nothing FIT")
    assert lab.names() == ["without a method"]
    panel.get_by_role("searchbox", name="Search tasks").fill("")
    panel.get_by_label("Show", exact=True).select_option("Failed")
    assert lab.names() == ["without a method"]
    panel.get_by_label("Show", exact=True).select_option("Live")
    panel.get_by_text("No task is like that.").wait_for()
    panel.get_by_role("button", name="Show all tasks").click()
    assert len(lab.names()) > 1


def test_the_form_launches_a_registered_agent(lab, page):
    lab.progress(1)
    lab.open(page)
    panel = lab.panel()
    panel.get_by_role("button", name="Launch…").click()
    form = panel.locator(".phasenb-form")
    form.get_by_text("Count the eggs of one species of penguins.").wait_for()
    form.get_by_role("button", name="Launch").click()
    form.get_by_role("alert").get_by_text("Something is missing or wrong above.").wait_for()
    assert page.evaluate("() => document.activeElement.textContent") == "Something is missing or wrong above."
    form.get_by_label("folder").fill(str(lab.folder))
    form.get_by_label("species").select_option("Gentoo")
    form.get_by_label("rows").fill("7")
    form.get_by_label("note").fill('{"seen": 2}')
    form.get_by_role("button", name="Add").click()
    form.get_by_role("button", name="Add").click()
    form.get_by_label("tags-0").fill("small")
    form.get_by_label("tags-1").fill("wet")  # the form is whole: what adds to a list must not launch
    form.get_by_role("button", name="Add").click()
    form.get_by_label("tags-2").fill("cold")
    form.get_by_label("Name of the task").fill("from the form")
    form.get_by_label("planning").check()
    form.get_by_role("button", name="Launch").click()
    detail = panel.locator(".phasenb-detail")
    detail.get_by_text("Launched from this panel, not from a notebook.").wait_for()
    panel.locator(".phasenb-gate").get_by_text('"species": "Gentoo"').wait_for()
    panel.locator(".phasenb-gate").get_by_role("button", name="Approve").click()
    panel.locator(".phasenb-task[data-state=completed]").wait_for()
    task = lab.server.request("phasenb/api/tasks?limit=1")["tasks"][0]
    assert (task["name"], task["session"]) == ("from the form", "jupyterlab")
    inputs = {"folder": str(lab.folder), "species": "Gentoo", "rows": 7, "note": {"seen": 2}}
    assert task["inputs"] == {**inputs, "tags": ["small", "wet", "cold"]}


def violations(page, selector):
    """What axe-core calls serious or critical in a part of the page."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("selector => window.axe.run(selector, {resultTypes: ['violations']})", selector)["violations"]
    assert page.evaluate("selector => document.querySelectorAll(selector).length", selector) > 0
    return [
        (each["id"], node["html"][:200], node["failureSummary"])
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_no_serious_accessibility_violation(lab, page, picture, theme):
    shade = theme.split()[1].lower()
    lab.progress(1)
    lab.launch(f"finished {shade}")
    failing = lab.launch(f"failed {shade}", approve_before=["implementation"])
    lab.open(page, "/tree/birds/penguins.ipynb")
    page.evaluate(f"theme => {LAB}.commands.execute('apputils:change-theme', {{theme}})", theme)
    page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=theme)
    panel = lab.panel()
    lab.row(f"failed {shade}").get_by_text("waits for approval before implementation").wait_for()
    seq = lab.server.request(f"phasenb/api/tasks/{failing}")["approval"]["seq"]
    answer = {"phase": "implementation", "if_seq": seq, "edit": {"method": "none", "of": "x"}}
    lab.server.request(f"phasenb/api/tasks/{failing}/approve", answer)
    lab.row(f"failed {shade}").get_by_text("failed in implementation").wait_for()
    lab.launch(f"to approve {shade}", approve_before=["implementation"])
    lab.row(f"to approve {shade}").get_by_text("waits for approval").wait_for()
    lab.progress(0.45)
    page.wait_for_function(
        f"() => {LAB}.shell.currentWidget?.sessionContext?.session?.kernel?.connectionStatus === 'connected'",
        timeout=90_000,
    )
    lab.run("notebook:run-all-cells")
    lab.row("from a notebook").get_by_text("45% of the eggs counted").wait_for()
    lab.row(f"to approve {shade}").click()
    panel.get_by_role("img", name="Timeline of the phases").wait_for()
    page.add_style_tag(content=".Toastify { display: none }")  # the picture is of the panel
    page.screenshot(path=picture(f"panel-{shade}.png"))
    assert violations(page, "#phasenb-panel") == []
    assert violations(page, ".jp-OutputArea-output .phasenb-task") == []
    panel.get_by_role("button", name="All tasks").click()
    assert violations(page, "#phasenb-panel") == []
    lab.row(f"failed {shade}").click()
    panel.locator(".phasenb-error").wait_for()
    assert violations(page, "#phasenb-panel") == []
    panel.get_by_role("button", name="All tasks").click()
    panel.get_by_role("button", name="Launch…").click()
    panel.locator(".phasenb-form form").wait_for()
    assert violations(page, "#phasenb-panel") == []
