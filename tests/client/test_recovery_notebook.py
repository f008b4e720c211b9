"""notebooks/recovery.ipynb from its first cell to its last, on a real Jupyter server; what it shows is true."""

import json
import re
from pathlib import Path

import pytest
from nbformat.v4 import output_from_msg

from tests.conftest import run_cell

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
CELLS = json.loads((NOTEBOOKS / "recovery.ipynb").read_text())["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]
WIDE = "import pandas as pd; pd.set_option('display.width', 500, 'display.max_columns', 50, 'display.max_colwidth', 80)"
SHOWN = ("display_data", "execute_result", "stream", "error")
TASK = "application/vnd.phasenb.task+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
GATED = """
import phasenb as pn

flow = pn.Workflow("gated")

@flow.planning
def plan():
    return 2

@flow.implementation
def do(planning):
    assert planning
    return 1 / planning

task = flow.with_options(approve_before=["implementation"]).launch()
"""


class Cells:
    """The code cells in a kernel, one after the other; ``outputs[n]`` are the n-th one's, as they are in the end."""

    def __init__(self, kernel):
        self.outputs = []
        self.displays = {}
        self._kernel = kernel

    def run(self, source):
        said = []
        reply, messages = run_cell(self._kernel, source)
        for message in messages:
            transient = message["content"].get("transient", {})
            if message["msg_type"] == "update_display_data":
                self.displays[transient["display_id"]]["data"] = message["content"]["data"]
            elif message["msg_type"] in SHOWN:
                said.append(output_from_msg(message))
                if "display_id" in transient:
                    self.displays[transient["display_id"]] = said[-1]
        assert reply["status"] == "ok", "\n".join([source, *reply.get("traceback", [])])
        self.outputs.append(said)

    def text(self, marker):
        """What the one cell with ``marker`` in it printed and returned."""
        (number,) = [number for number, source in enumerate(CODE) if marker in source]
        return self.after(number)

    def after(self, number):
        texts = [
            output["text"] if output["output_type"] == "stream" else output["data"]["text/plain"]
            for output in self.outputs[number]
            if output["output_type"] == "stream" or TASK not in output["data"]
        ]
        return "\n".join(texts)

    def launched(self, flow):
        """The cells after the launch of ``flow``, as texts."""
        (number,) = [number for number, source in enumerate(CODE) if re.search(rf"task = {flow}\..*launch\(", source)]
        return [self.after(later) for later in range(number + 1, len(CODE))]

    def cards(self):
        """The cards that were shown, in order, as they are by now: bundles."""
        return [output["data"] for output in self.displays.values() if TASK in output["data"]]

    def until(self, holds):
        """Look again and again, as messages come only while a cell runs."""
        for _ in range(1_200):
            if holds():
                return
            self.run("import time; time.sleep(0.05)")
        raise AssertionError([card["text/plain"] for card in self.cards()])


@pytest.mark.timeout(300)
def test_every_cell_shows_what_its_text_says(jupyter_process):
    server = jupyter_process(files=NOTEBOOKS)
    cells = Cells(server.kernel("recovery.ipynb"))
    cells.run(WIDE)
    cells.outputs.clear()
    for source in CODE:
        cells.run(source)

    counted, attempts = cells.launched("fetching")[:2]
    assert re.findall(r"(\w+) +(\d+)\n", counted) == [("Adelie", "152"), ("Gentoo", "124"), ("Chinstrap", "68")]
    assert re.findall(r"fetch +(\d) +(\w+)", attempts) == [("1", "failed"), ("2", "failed"), ("3", "complete")]
    assert attempts.count("come back in 1 s") == 2

    fitted, lines = cells.launched("telling")[:2]
    assert "'model': 'linear discriminant'" in fitted
    assert re.search(r"fit +2 +plan B after sklearn.exceptions.ConvergenceWarning", lines)

    scored, rolled, folders = cells.launched("study")[:3]
    assert float(scored) > 0.9
    assert re.findall(r"(split|score) +(\d) +(phase|compensation) +(\w+)", rolled) == [
        ("split", "1", "phase", "complete"),
        ("score", "1", "phase", "failed"),
        ("split", "2", "compensation", "complete"),
        ("split", "3", "phase", "complete"),
        ("score", "2", "phase", "complete"),
    ]
    assert "the test has only Chinstrap" in rolled
    assert folders == "['split-3']"

    waits, plan, surveyed, revisions = cells.launched("survey")[:4]
    assert "waits for approval before implementation" in waits
    assert plan == "{'sites': ['Biscoe', 'Dream', 'Torgersen'], 'birds_per_site': 40}"
    assert re.findall(r"(Biscoe|Dream|Torgersen) +40", surveyed) == ["Biscoe", "Dream"]
    assert [int(found) for found in re.findall(r"planning +1 +(\d)", revisions)] == [1, 2]
    assert "edited by" in revisions

    _, interval, lost, lines = cells.launched("weighing")[:4]
    low, high = json.loads(interval)
    assert 4000 < low < 4202 < high < 4400
    assert re.findall(r"(\d) +(lost|complete) ", lost) == [("1", "lost"), ("2", "complete")]
    assert "phasenb.WorkerLost" in lost
    workers = re.findall(r"(\d) +worker (\d+)", lines)
    assert [attempt for attempt, _ in workers] == ["1", "2"]
    assert workers[0][1] != workers[1][1]
    assert int(re.search(r"2 +going on after (\d+)", lines)[1]) >= 900

    failed = cells.text("to_dictionary")
    assert "failed in implementation, attempt 1: AttributeError" in failed
    assert cells.text("task.replay(").endswith(cells.text("task.retry("))
    assert "'body_mass_g': 5076.0" in cells.text("task.retry(")
    *_, attempts, _ = cells.launched("report")
    assert re.findall(r"(research|implementation) +(\d) +(\w+)", attempts) == [
        ("research", "1", "complete"), ("implementation", "1", "failed"), ("implementation", "2", "complete"),
    ]  # fmt: skip
    assert not list(server.folder.glob("split-*")), "the notebook leaves nothing behind"

    cells.until(lambda: all(card[TASK]["snapshot"]["state"] in ("completed", "failed") for card in cells.cards()))
    cards = [(card[TASK]["snapshot"]["name"], card[TASK]["snapshot"]["state"]) for card in cells.cards()]
    ended = [(name, "completed") for name in ("fetching", "telling penguins apart", "study", "survey", "weighing")]
    assert cards == [*ended, ("report", "failed"), ("report", "completed")], "a retry is shown where it is asked for"
    assert "fallback" in cells.cards()[1]["text/plain"]
    assert WIDGET not in {kind for card in cells.cards() for kind in card}


def test_a_cell_keeps_what_a_task_waits_for_and_a_retry_says_whose_code_runs(jupyter_process):
    cells = Cells(jupyter_process().kernel("one.ipynb"))
    cells.run(GATED)
    cells.until(lambda: "waits for approval before implementation" in cells.cards()[0]["text/plain"])
    assert WIDGET in cells.cards()[0], "for a page without the extension"
    cells.run("task.pause()")
    cells.until(lambda: "task.resume() goes on" in cells.cards()[0]["text/plain"])
    cells.run("task.resume(); task.approve(edit=0); task.wait()")
    cells.until(lambda: "failed" in cells.cards()[0]["text/plain"])
    assert WIDGET not in cells.cards()[0]
    cells.run("task.retry(); task.wait()")
    cells.until(lambda: len(cells.cards()) == 2 and "failed" in cells.cards()[1]["text/plain"])
    assert "runs the code of the launch" in cells.cards()[1]["text/html"]


def test_the_notebook_is_committed_without_outputs_or_paths_of_a_machine():
    code = [cell for cell in CELLS if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    assert not re.search(r"/(home|root|Users|work|tmp)/", (NOTEBOOKS / "recovery.ipynb").read_text())
