"""The main job as a person sees it: the quickstart in JupyterLab, live, finished, and still there after a reload."""

OUTPUT = ".jp-OutputArea-output"
BARS = ".jp-OutputArea-output [role=progressbar]"
LAUNCHED = ".jp-CodeCell:has([role=progressbar])"
RUN_ALL = "() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }"
SAVE = "() => window.jupyterapp.commands.execute('docmanager:save')"
# How far the task is, as the page shows it: the sum of its bars; -1 while there are none.
SHOWN = """() => {
    const bars = [...document.querySelectorAll('.jp-OutputArea-output [role=progressbar]')];
    return bars.length ? bars.reduce((sum, bar) => sum + Number(bar.getAttribute('aria-valuenow') || 0), 0) : -1;
}"""


CONNECTED = """() => {
    const panel = window.jupyterapp?.shell?.currentWidget;
    return panel?.sessionContext?.session?.kernel?.connectionStatus === 'connected';
}"""


def open_notebook(lab, page, notebook):
    page.goto(f"{lab.url}lab/tree/{notebook}?token={lab.token}")
    page.wait_for_function(CONNECTED, timeout=90_000)


def test_the_quickstart_runs_live_and_survives_a_reload(lab, page, picture):
    open_notebook(lab, page, "quickstart.ipynb")
    page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    page.evaluate(RUN_ALL)
    page.wait_for_selector(BARS)
    page.locator(LAUNCHED).evaluate("cell => cell.scrollIntoView({block: 'center'})")

    seen = []
    while len(seen) < 4:
        before = seen[-1] if seen else -1
        page.wait_for_function(f"before => ({SHOWN})() > before", arg=before)
        seen.append(page.evaluate(SHOWN))
    assert seen == sorted(seen)
    assert seen[0] < seen[-1], "the bars must be seen moving"
    page.wait_for_function(f"() => ({SHOWN})() > 130")
    page.screenshot(path=picture("quickstart.png"))

    page.locator(OUTPUT).get_by_text("completed").first.wait_for(timeout=120_000)
    page.locator(OUTPUT).get_by_text("95% of the folds").first.wait_for(timeout=60_000)
    page.locator(LAUNCHED).scroll_into_view_if_needed()
    page.screenshot(path=picture("finished.png"))

    page.evaluate(SAVE)
    open_notebook(lab, page, "quickstart.ipynb")
    page.locator(OUTPUT).get_by_text("completed").first.wait_for()
    assert page.evaluate(SHOWN) > 0
    assert "Error displaying widget" not in page.content()
    assert "Loading widget" not in page.content()
