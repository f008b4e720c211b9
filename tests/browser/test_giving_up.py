"""A retry that is waited for, in the cell and in the panel: what failed is told at once, and it can be given up."""

import json

import pytest

CELL = """import phasenb as pn

flow = pn.Workflow("report", phases=("fetch", "write"))

@flow.phase("fetch")
def fetch():
    raise ConnectionError("the weather service does not answer")

@flow.phase("write")
def write(fetch):
    return fetch

patient = {"defaults": {"retry": {"initial_interval": "10m"}}}
flow.with_options(recovery=patient).launch()"""
LAB = "window.jupyterapp"


@pytest.fixture(scope="module")
def server(module_jupyter_process):
    start, folder = module_jupyter_process
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None, "source": CELL}
    kernel = {"name": "python3", "display_name": "Python 3"}
    files = folder / "files"
    files.mkdir(parents=True, exist_ok=True)
    content = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (files / "report.ipynb").write_text(json.dumps(content))
    return start("jupyterlab", files=files, options=["--expose-app-in-browser"])


def test_a_waiting_retry_says_what_failed_and_is_given_up(server, page, picture):
    page.goto(f"{server.url}lab/workspaces/up/tree/report.ipynb?reset&token={server.token}")
    page.wait_for_function(
        f"() => {LAB}?.shell?.currentWidget?.sessionContext?.session?.kernel?.connectionStatus === 'connected'",
        timeout=90_000,
    )
    page.evaluate(
        f"() => {{ {LAB}.commands.execute('notebook:run-all-cells'); {LAB}.commands.execute('phasenb:open'); }}"
    )
    card = page.locator(".jp-OutputArea .phasenb-task")
    card.get_by_text("the weather service does not answer").first.wait_for()
    card.get_by_text("attempt 2 of 3, next in").wait_for()
    row = page.locator("#phasenb-panel .phasenb-row", has=page.get_by_text("report", exact=True))
    says = row.locator(".phasenb-row-says", has_text="ConnectionError: the weather service does not answer")
    says.wait_for()
    title = row.locator(".phasenb-row-name").bounding_box()
    assert says.bounding_box()["height"] > 1.5 * title["height"], "what failed has two lines"
    assert title["y"] - row.bounding_box()["y"] < 10
    row.click()
    detail = page.locator("#phasenb-panel").get_by_role("button", name="Give up")
    detail.wait_for()
    give_up = card.get_by_role("button", name="Give up")
    give_up.wait_for()
    page.screenshot(path=picture("retry-waiting.png"))
    give_up.click()
    card.get_by_role("button", name="Retry").wait_for()
    assert not give_up.is_visible()
    assert not detail.is_visible(), "the panel hears of it too"
    card.get_by_text("the weather service does not answer").first.wait_for()
