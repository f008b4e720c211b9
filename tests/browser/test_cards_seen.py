"""What a card shows of a task: its inputs, at a gate too, a long error, its id; in light, dark and a narrow window."""

import pytest

from tests.browser.test_panel import violations
from tests.browser.test_task_in_a_cell import RUN_ALL, lab_with, open_notebook

__all__ = ["lab_with"]  # a fixture
CELL = """
import phasenb as pn

flow = pn.Workflow("penguins", phases=("read", "fit")).with_options(approve_before=["read"])

@flow.phase("read")
def read(path, alpha, depth, seed, kind):
    for n in range(12):
        print(f"line {n} of {path}", "x" * 150)
    return [{"species": "Adelie", "eggs": 2}]

@flow.phase("fit")
def fit(read, alpha):
    if alpha < 1:
        raise ValueError("\\n".join(f"fold {n}: alpha={alpha} does not converge" for n in range(30)))
    return read

inputs = {"path": "data/penguins.csv", "depth": 3, "seed": 7, "kind": "forest " * 20}
flow.launch(alpha=0.1, **inputs)
flow.launch(alpha=2, **inputs)
"""
FOREST = " ".join(["forest"] * 20)
FOLDED = "alpha=0.1, path=data/penguins.csv, depth=3"
TWO = "alpha=2, path=data/penguins.csv, depth=3, +2 more"
LINE_HEIGHT = 19  # of 13 px text, rounded up


def look(page, theme, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate(f"() => window.jupyterapp.commands.execute('apputils:change-theme', {{theme: '{theme}'}})")
    page.locator(f"body[data-jp-theme-name='{theme}']").wait_for(state="attached")
    page.locator("#jupyterlab-splash").wait_for(state="detached")


@pytest.fixture
def shot(page, tmp_path):
    """Pictures of what stands on the page, in each theme and in a narrow window."""

    def take(name):
        for theme, width in (("JupyterLab Light", 1180), ("JupyterLab Dark", 1180), ("JupyterLab Light", 800)):
            look(page, theme, width)
            page.screenshot(path=tmp_path / f"{name}-{theme.split()[1].lower()}-{width}.png")
            assert violations(page, ".jp-OutputArea-output .phasenb-task") == []

    return take


def test_a_card_shows_inputs_errors_and_ids(lab_with, page, shot):
    open_notebook(lab_with(CELL), page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(RUN_ALL)
    cards = page.locator(".jp-OutputArea-output .phasenb-task")
    failing, done = cards.nth(0), cards.nth(1)
    for card in (failing, done):
        card.get_by_text("read starts with these inputs once you approve:").wait_for()
        assert card.get_by_role("button", name="Edit").count() == 0
    assert "seed=7" in failing.get_by_label("to be approved").inner_text().splitlines()
    shot("gate")
    for card in (failing, done):
        card.get_by_role("button", name="Approve").click()
    page.locator(".jp-OutputArea-output .phasenb-task[data-state=failed]").wait_for()
    page.locator(".phasenb-task[data-state=completed]").wait_for()
    assert page.locator(".Toastify__toast").count() == 0, "both were seen, and took a moment"

    more = failing.get_by_role("button", name="More", exact=True)
    message = failing.locator(".phasenb-message")
    assert message.bounding_box()["height"] <= 4 * LINE_HEIGHT
    shot("failed")
    more.press("Enter")
    assert message.bounding_box()["height"] > 20 * LINE_HEIGHT
    failing.get_by_role("button", name="Less").click()
    assert failing.get_by_role("button", name="Retry").is_visible()

    inputs = failing.get_by_role("group", name="inputs")
    assert inputs.locator("span").inner_text() == FOLDED
    inputs.get_by_role("button", name="+2 more").press("Enter")
    assert inputs.locator("span").inner_text().splitlines() == [*FOLDED.split(", "), "seed=7", f"kind={FOREST}"]
    bar = failing.locator(".phasenb-step[data-status=failed] .phasenb-bar")
    red = bar.evaluate("node => getComputedStyle(node).backgroundColor")
    assert red != done.locator(".phasenb-bar").first.evaluate("node => getComputedStyle(node).backgroundColor")
    assert done.get_by_text("Result", exact=True).is_visible()
    assert done.get_by_text("Log", exact=True).is_visible()
    assert done.get_by_label("log").bounding_box()["width"] > 0.9 * done.bounding_box()["width"]
    shot("done")

    identifier = done.locator(".phasenb-id")
    full = identifier.get_attribute("title").splitlines()[0]
    assert full.endswith(identifier.inner_text())
    assert len(full) == 26
    identifier.press("Enter")
    identifier.get_by_text("copied").wait_for()
    assert page.evaluate("() => navigator.clipboard.readText()") == full


def test_the_panel_shows_and_finds_inputs(lab_with, page, tmp_path):
    open_notebook(lab_with(CELL), page)
    page.evaluate(RUN_ALL)
    page.locator(".jp-OutputArea-output .phasenb-task").nth(1).wait_for()
    page.evaluate("() => { window.jupyterapp.commands.execute('phasenb:open'); }")
    panel = page.locator("#phasenb-panel")
    panel.get_by_text(TWO).wait_for()
    assert panel.locator(".phasenb-row").count() == 2
    page.screenshot(path=tmp_path / "panel-list.png")
    panel.get_by_role("searchbox").fill("alpha=0.1 forest")
    panel.get_by_text(TWO).wait_for(state="hidden")
    panel.locator(".phasenb-row").click()
    panel.get_by_label("to be approved").get_by_text("alpha=0.1").wait_for()
    assert not panel.get_by_role("group", name="inputs").is_visible(), "the gate has them"
    look(page, "JupyterLab Dark", 800)
    page.screenshot(path=tmp_path / "panel-dark-800.png")
    panel.get_by_role("button", name="All tasks").click()
    panel.get_by_role("button", name="Launch…").click()
    before = panel.get_by_role("list", name="Launched before").get_by_role("button")
    page.screenshot(path=tmp_path / "launch-dark-800.png")
    before.get_by_text("seed=7").first.click()
    panel.locator(".phasenb-task").wait_for()
