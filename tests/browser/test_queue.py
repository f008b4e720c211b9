"""Tasks behind full workers: each says its place in the queue, in its cell and in the panel, while nothing happens."""

from tests.browser.test_panel import violations
from tests.browser.test_task_in_a_cell import RUN_ALL, lab_with, open_notebook

__all__ = ["lab_with"]  # a fixture
CELL = """
import phasenb as pn
from IPython.display import display

flow = pn.Workflow("penguins", phases=("count",))

@flow.phase("count")
def count(n):
    import pathlib, time
    while not pathlib.Path("go").exists():
        time.sleep(0.02)

tasks = [flow.with_options(name=f"task {n}").launch(n=n) for n in range(6)]
display(*tasks)
"""
LIMIT = """--PhaseNB.limits={"running_tasks": 2}"""
WAITS = {2: "Next in line", 3: "2nd in line", 4: "3rd in line", 5: "4th in line"}


def test_a_queued_task_says_its_place_wherever_it_is_shown(lab_with, page, tmp_path):
    lab = lab_with(CELL, options=[LIMIT])
    open_notebook(lab, page)
    page.evaluate(RUN_ALL)
    cards = page.locator(".jp-OutputArea-output .phasenb-task")
    for n, place in WAITS.items():
        cards.nth(n).get_by_text(place).wait_for()
    page.evaluate("() => { window.jupyterapp.commands.execute('phasenb:open'); }")
    panel = page.locator("#phasenb-panel")
    for n, place in WAITS.items():
        panel.locator(".phasenb-row", has_text=f"task {n}").get_by_text(place).wait_for()
    page.screenshot(path=tmp_path / "queue.png")
    assert violations(page, "#phasenb-panel") == []

    page.reload()  # the panel opens again, with a task of which nothing new happens
    panel.locator(".phasenb-row", has_text="task 4").click()
    panel.locator(".phasenb-says", has_text=WAITS[4]).wait_for()
    (lab.folder / "go").touch()
    panel.locator(".phasenb-task[data-state=completed]").wait_for()
