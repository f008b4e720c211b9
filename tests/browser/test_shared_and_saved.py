"""One task in several pages."""

import pytest

from tests.browser.test_task_in_a_cell import RUN_ALL, SAVE, lab_with, notebook, open_notebook, progress

__all__ = ["lab_with", "notebook", "progress"]  # fixtures
TASK = ".jp-OutputArea-output .phasenb-task"


@pytest.fixture
def other_page(browser):
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


def launch(lab, page, progress, share=0.24):
    """A running task, and a notebook with it that was saved: its file."""
    open_notebook(lab, page)
    page.evaluate(RUN_ALL)
    page.locator(TASK).wait_for()
    progress.set(share)
    page.locator(TASK).get_by_text(f"{share:.0%} of the eggs counted").wait_for()
    page.wait_for_function(
        """said => JSON.stringify(window.jupyterapp.shell.currentWidget.content.model.toJSON()).includes(said)""",
        arg=f"running, {share * 50:.0f} %",
    )
    page.evaluate(SAVE)
    return lab.folder / "cell.ipynb"


def test_two_browsers_see_one_task_and_each_others_buttons(notebook, progress, page, other_page):
    launch(notebook, page, progress)
    open_notebook(notebook, other_page)
    progress.set(0.5)
    for each in (page, other_page):
        each.locator(TASK).get_by_text("50% of the eggs counted").wait_for()
    other_page.locator(TASK).get_by_role("button", name="Pause").click()
    page.locator(f"{TASK}[data-state=paused]").wait_for()
    page.locator(TASK).get_by_role("button", name="Cancel").click()
    other_page.locator(f"{TASK}[data-state=cancelled]").wait_for()
