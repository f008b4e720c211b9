"""What the labextension costs a page: each subject runs in a process of its own and prints one JSON line.

usage: python -m tests.benchmarks.browser SUBJECT N
A real JupyterLab, its bundle and socket, and a headless Chromium. The progress of live tasks is told to the server's
own hub from within it (``load_jupyter_server_extension`` below), as no machine runs fifty workers without being busy.
"""

import asyncio
import gzip
import json
import sys
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
TMP = Path(tempfile.mkdtemp(prefix="phasenb-bench-"))
PHASES = ("research", "planning", "implementation")
TRACED_S = 10
PANEL = "[...window.jupyterapp.shell.widgets('left')].find(widget => widget.id === 'phasenb-panel')"
MIME = "application/vnd.phasenb.task+json"
OPENED = """async () => {
  const frame = () => new Promise(done => requestAnimationFrame(done));
  const count = () => document.querySelectorAll('#phasenb-panel .phasenb-row').length;
  const began = performance.now();
  window.jupyterapp.shell.activateById('phasenb-panel');
  while (count() === 0 && performance.now() - began < 10_000) {
    await frame();
  }
  const rows = count();
  await frame(); // they are seen
  return [performance.now() - began, rows];
}"""


# --- the server --------------------------------------------------------------------------------------------------


def load_jupyter_server_extension(app):
    """Ten times a second, every task that runs has got on."""
    from tornado.ioloop import PeriodicCallback

    from phasenb.dto.events import PhaseUpdate
    from phasenb.dto.task_state import State
    from phasenb.web.identity import operating_system_user

    owner = operating_system_user()
    phasenb = next(iter(app.extension_manager.extension_apps["phasenb"]))
    known, told = [], [0]

    async def tell():
        if phasenb.host is None:
            return
        if not known:
            known.extend(await phasenb.host.manager.store.tasks(owner, state=State.RUNNING, limit=100))
        told[0] += 1
        for task in known:
            about = {"task_id": task.task_id, "phase": "research", "attempt": 1}
            percent = min(99.0, told[0] * 0.05)
            update = PhaseUpdate(**about, percent=percent, message=f"fold {told[0]} of 5000", eta_s=None)
            phasenb.host.hub.progress(owner, task, update)

    PeriodicCallback(tell, 100).start()


_load_jupyter_server_extension = load_jupyter_server_extension


def _jupyter_server_extension_points():
    return [{"module": "tests.benchmarks.browser"}]


async def _fill(count, ended):
    """``count`` tasks in the server's store: cancelled ones, or such that run. Their snapshots."""
    from phasenb.core.ports import Append
    from phasenb.core.task_schema import apply
    from phasenb.dto import events as ev
    from phasenb.dto.base import new_ulid
    from phasenb.store.saver import MemorySaver
    from phasenb.web.identity import operating_system_user

    saver = MemorySaver.open(str(TMP / "server.db"))
    filled = []
    for number in range(count):
        common = {"task_id": new_ulid(), "session": "bench", "at": datetime.now(UTC)}
        events = [ev.TaskCreated(**common, seq=1, name=f"task {number}", agent="bench", phases=PHASES)]
        if ended:
            events.append(ev.CancelRequested(**common, seq=2, by="bench"))
            events.append(ev.TaskCancelled(**common, seq=3, by="bench"))
        else:
            events.append(ev.PhaseStarted(**common, seq=2, phase="research", attempt=1, worker="bench"))
        task = None
        for event in events:
            task = apply(task, event)
        await saver.append(Append(operating_system_user(), task, tuple(events)))
        filled.append(task)
    await saver.close()
    return filled


@contextmanager
def _page(path="", extension=False):
    """A page of JupyterLab on the store, when its panel knows the tasks that have not ended."""
    from playwright.sync_api import sync_playwright

    from tests.benchmarks.server import start_server
    from tests.browser.conftest import chromium

    more = ["--expose-app-in-browser"]
    if extension:
        more.append("--ServerApp.jpserver_extensions=tests.benchmarks.browser=True")
    process, url, token = start_server(TMP, app="jupyterlab", options=more)
    try:
        with sync_playwright() as playwright:
            options = {"args": ["--no-sandbox", "--disable-dev-shm-usage"], "executable_path": chromium()}
            browser = playwright.chromium.launch(**options)
            page = browser.new_page(viewport={"width": 1180, "height": 900})
            page.set_default_timeout(120_000)
            page.goto(f"{url}lab{path}?reset&token={token}")
            page.wait_for_function("() => window.jupyterapp?.restored.then(() => true)")
            page.wait_for_function(f"() => {PANEL}.store.complete")
            yield browser, page
            browser.close()
    finally:
        process.terminate()
        process.wait(30)


# --- subjects ----------------------------------------------------------------------------------------------------


def panel_open(n):
    """ms from the command that opens the panel until its rows are seen, with ``n`` past tasks in the page's store."""
    asyncio.run(_fill(n, ended=True))
    with _page() as (_, page):
        page.evaluate(
            f"async () => {{ let before = null; do {{ before = await {PANEL}.store.loadPast(500, before); }} "
            "while (before !== null); }"
        )
        assert page.evaluate(f"() => {PANEL}.store.tasks.size") == n
        took, rows = page.evaluate(OPENED)
    assert 0 < rows < 60, rows
    return took


def live_tasks(n):
    """Percent of the main thread's time, and the longest task's ms, while ``n`` tasks in cells and the panel get on.

    In processor time, so that others who use the machine do not count.
    """
    tasks = asyncio.run(_fill(n, ended=False))
    data = [{MIME: {"task_id": task.task_id, "snapshot": task.as_json()}, "text/plain": task.name} for task in tasks]
    outputs = [{"output_type": "display_data", "metadata": {}, "data": each} for each in data]
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": None, "source": "", "outputs": outputs}
    (TMP / "many.ipynb").write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    with _page("/tree/many.ipynb", extension=True) as (browser, page):
        shown = page.locator(".jp-OutputArea-output .phasenb-says", has_text="fold")
        page.wait_for_function(f"() => document.querySelectorAll('.phasenb-says:not([hidden])').length >= {n}")
        page.evaluate("() => { window.jupyterapp.shell.activateById('phasenb-panel'); }")
        page.locator("#phasenb-panel .phasenb-row").first.wait_for()
        first = shown.first.text_content()
        browser.start_tracing(page=page, categories=["toplevel", "devtools.timeline"])
        page.wait_for_timeout(1000 * TRACED_S)
        events = json.loads(browser.stop_tracing())["traceEvents"]
        assert shown.count() == n
        assert shown.first.text_content() != first
    return _busy(events)


def _busy(events):
    """Of the page's main thread: its tasks are the events that stand in no other."""
    names = {(each["pid"], each["tid"]) for each in events if each.get("args", {}).get("name") == "CrRendererMain"}
    tasks = {}
    for each in events:
        if each["name"] == "ThreadControllerImpl::RunTask" and "dur" in each and (each["pid"], each["tid"]) in names:
            tasks.setdefault(each["pid"], []).append(each)
    run = max(tasks.values(), key=lambda each: sum(task.get("tdur", 0) for task in each))
    spent = [task.get("tdur", 0) / 1000 for task in run]
    length = (max(task["ts"] + task["dur"] for task in run) - min(task["ts"] for task in run)) / 1000
    return {
        "busy_percent": 100 * sum(spent) / length,
        "longest_ms": max(spent),
        "wall_ms": max(t["dur"] for t in run) / 1000,
    }


def bundle(_):
    """KB of all that the labextension brings, gzipped: what JupyterLab shares is in none of its files."""
    files = (ROOT / "phasenb" / "labextension" / "static").glob("*.js")
    return sum(len(gzip.compress(path.read_bytes(), 9)) for path in files) / 1000


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](int(sys.argv[2]))))
