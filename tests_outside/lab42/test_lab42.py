"""JupyterLab 4.2, the oldest that the README names: pip installs it beside phasenb, and cells and panel work in it."""

import nbformat

from tests.browser.test_task_in_a_cell import RUN_ALL, open_notebook

CELL = """
import phasenb as pn

flow = pn.Workflow("penguins")

@flow.phase("count")
def count():
    return 344

flow.launch()
"""


def test_pip_has_no_complaint(environment):
    lab42 = environment("lab42")
    assert lab42.run("jupyter", "lab", "--version").stdout.startswith("4.2.")
    assert lab42.run("python", "-m", "pip", "check").stdout == "No broken requirements found.\n"
    listed = lab42.run("jupyter", "labextension", "list")
    (line,) = [line for line in (listed.stdout + listed.stderr).splitlines() if "phasenb v" in line]
    assert "enabled" in line
    assert "OK" in line


def test_a_cell_and_the_panel_show_a_task(environment, jupyter_process, page):
    server = jupyter_process("jupyterlab", python=environment("lab42").python, options=["--expose-app-in-browser"])
    kernel = {"name": "python3", "display_name": "Python 3"}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)], metadata={"kernelspec": kernel})
    (server.folder / "cell.ipynb").write_text(nbformat.writes(notebook))
    open_notebook(server, page)
    page.evaluate(RUN_ALL)
    page.locator(".phasenb-task[data-state=completed]").wait_for()
    page.evaluate("() => { window.jupyterapp.commands.execute('phasenb:open'); }")
    page.locator("#phasenb-panel .phasenb-row").get_by_text("penguins").first.wait_for()
