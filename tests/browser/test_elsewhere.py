"""Where phasenb is only in part, or not at all: an exported notebook, another Lab, Notebook 7, a server in trouble."""

import asyncio
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from phasenb.core.ports import Append
from phasenb.core.task_schema import apply
from phasenb.display.bundle import task_bundle
from phasenb.dto import events as ev
from phasenb.dto.base import new_ulid
from phasenb.store.saver import MemorySaver
from tests.browser.test_shared_and_saved import launch
from tests.browser.test_task_in_a_cell import CELL, RUN_ALL, SAVE, lab_with, notebook, progress, start

__all__ = ["lab_with", "notebook", "progress"]  # fixtures
AS_OF = re.compile(r"as of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d: running, 12 %")
LAB = "window.jupyterapp"


def test_a_notebook_saved_mid_run_says_when_that_was_where_there_is_no_phasenb(
    notebook, jupyter_process, progress, page, tmp_path
):
    saved = launch(notebook, page, progress)
    export = [sys.executable, "-m", "nbconvert", "--to", "html", "--output-dir", str(tmp_path), str(saved)]
    subprocess.run(export, check=True, capture_output=True)
    page.goto((tmp_path / "cell.html").as_uri())
    page.get_by_text(AS_OF).wait_for()
    assert page.locator("[role=progressbar]").count() == 2
    assert page.get_by_role("button", name="Cancel").count() == 0

    lab = jupyter_process("jupyterlab", options=["--expose-app-in-browser"], without=("server", "lab"))
    page.goto(f"{lab.url}lab/tree/cell.ipynb?token={lab.token}")
    page.locator(".jp-OutputArea-output.jp-RenderedHTML").get_by_text(AS_OF).wait_for()
    assert page.locator(".phasenb-renderer").count() == 0
    assert not page.evaluate(f"() => {LAB}.commands.hasCommand('phasenb:open')")
    assert "Error displaying widget" not in page.content()
    assert "Loading widget" not in page.content()


def test_notebook_7_shows_and_steers_a_task_in_the_cell_and_in_the_panel(lab_with, progress, page, picture):
    server = lab_with(CELL, app="notebook")
    address = f"{server.url}notebooks/cell.ipynb?token={server.token}"
    page.goto(address)
    page.wait_for_function(
        f"() => {LAB}?.shell?.currentWidget?.sessionContext?.session?.kernel?.connectionStatus === 'connected'",
        timeout=90_000,
    )
    page.evaluate(RUN_ALL)
    task = page.locator(".jp-OutputArea-output .phasenb-task")
    progress.set(0.24)
    task.get_by_text("24% of the eggs counted").wait_for()
    page.evaluate(SAVE)
    page.goto(address)
    progress.set(0.4)
    task.get_by_text("40% of the eggs counted").wait_for()
    task.get_by_role("button", name="Pause").click()
    page.locator(".jp-OutputArea-output .phasenb-task[data-state=paused]").wait_for()

    page.evaluate(f"() => {{ {LAB}.commands.execute('phasenb:open'); }}")
    panel = page.locator("#phasenb-panel")
    panel.locator(".phasenb-row").click()
    panel.get_by_role("button", name="Resume").click()
    page.locator(".jp-OutputArea-output .phasenb-task[data-state=running]").wait_for()
    page.screenshot(path=picture("notebook-7.png"))
    panel.get_by_role("button", name="Cancel").click()
    page.locator(".jp-OutputArea-output .phasenb-task[data-state=cancelled]").wait_for()


async def of_somebody_else(path):
    """A running task in the store of the server, of another owner; as that owner's notebook has it, and the epoch."""
    saver = MemorySaver.open(str(path))
    common = {"task_id": new_ulid(), "session": "nightly", "at": datetime.now(UTC)}
    events = [
        ev.TaskCreated(**common, seq=1, name="somebody's own", agent="penguins", phases=("research", "planning")),
        ev.PhaseStarted(**common, seq=2, phase="research", attempt=1, worker="theirs"),
    ]
    task = None
    for event in events:
        task = apply(task, event)
    await saver.append(Append("somebody-else", task, tuple(events)))
    epoch = saver.epoch
    await saver.close()
    return task_bundle(task, now=datetime.now(UTC), epoch=epoch)


def test_each_trouble_with_the_server_has_a_sentence_of_its_own(jupyter_process, tmp_path, page):
    with ThreadPoolExecutor() as apart:  # this thread's loop is Playwright's
        bundle = apart.submit(asyncio.run, of_somebody_else(tmp_path / "phasenb.db")).result()
    server = start(jupyter_process, tmp_path, "", "jupyterlab")
    file = server.folder / "cell.ipynb"
    content = json.loads(file.read_text())
    content["cells"][0]["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": bundle}]
    file.write_text(json.dumps(content))
    page.goto(f"{server.url}lab/tree/cell.ipynb?token={server.token}")
    task = page.locator(".jp-OutputArea-output .phasenb-task")
    task.get_by_text("This server does not show you this task: it is of another user, or was deleted.").wait_for()
    assert "as of" in task.locator(".phasenb-state").inner_text()
    works = task.get_by_role("button", disabled=False).all()
    assert [button.get_attribute("class") for button in works] == ["phasenb-id"]  # it is copied
    page.evaluate(f"() => {{ {LAB}.commands.execute('phasenb:open'); }}")
    page.locator("#phasenb-panel").get_by_text("No tasks yet.").wait_for()

    def again(**options):
        nonlocal server
        server.process.kill()
        server.process.wait()
        for name in ("phasenb.db", "phasenb.db-wal", "phasenb.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        server = jupyter_process("jupyterlab", options=["--expose-app-in-browser"], like=server, **options)

    again()
    gone = "This server has another store than the one that this task was in: that is elsewhere, or was deleted."
    task.get_by_text(gone).wait_for()

    again(without=("server",))
    absent = "This server does not have the phasenb extension: "
    task.get_by_text(f"{absent}what is shown was saved with the notebook.").wait_for()
    page.locator("#phasenb-panel").get_by_text(f"{absent}there are no tasks to show.").wait_for()
    assert "as of" in task.locator(".phasenb-state").inner_text()
