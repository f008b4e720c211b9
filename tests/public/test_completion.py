"""What a user sees who types: completion, help, and what a wrong line shows. In a real kernel."""

import re

import pytest

from tests.conftest import reply_to, run_cell

FLOW = """
import phasenb as pn
flow = pn.Workflow("penguins")

@flow.research
def look(path: str, depth=3, *, ctx): return 1

@flow.planning
def plan(research, alpha): return 2
"""


@pytest.fixture(scope="module")
def kernel(module_jupyter_process):
    start, _ = module_jupyter_process
    found = start().kernel()
    reply, _ = run_cell(found, FLOW)
    assert reply["status"] == "ok"
    return found


def completions(kernel, code):
    return reply_to(kernel, kernel.complete(code))["matches"]


def shown(kernel, code):
    """What a cell that fails shows, without colours."""
    reply, _ = run_cell(kernel, code)
    assert reply["status"] == "error"
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(reply["traceback"]))


def test_a_launch_knows_its_inputs(kernel):
    for call in ("flow.launch(", "flow.run("):
        found = completions(kernel, call)
        assert {"path=", "depth=", "alpha="} <= set(found)
        assert not {"ctx=", "research="} & set(found)
    told = reply_to(kernel, kernel.inspect("flow.launch"))["data"]["text/plain"]
    assert "(*, path: str, alpha, depth=3)" in re.sub(r"\x1b\[[0-9;]*m", "", told)


def test_the_options_are_known(kernel):
    assert {"name=", "approve_before=", "priority="} <= set(completions(kernel, "flow.with_options("))
    told = reply_to(kernel, kernel.inspect("flow.with_options"))["data"]["text/plain"]
    assert "name: str | None = None" in re.sub(r"\x1b\[[0-9;]*m", "", told)


def test_only_public_names_are_shown(kernel):
    names = {name.rpartition(".")[2] for name in completions(kernel, "flow.")}
    assert {"launch", "last", "with_options", "research", "phase", "run"} <= names
    assert not {"travelling", "anew", "run_phase", "known_functions", "built", "factory"} & names
    assert {"task", "last", "launch", "tasks", "Context"} <= {
        name.rpartition(".")[2] for name in completions(kernel, "pn.")
    }


WRONG = {
    'flow.launch("x.csv")': "inputs are given by name: write launch(path='x.csv')",
    'flow.run("x.csv")': "inputs are given by name: write run(path='x.csv')",
    "flow.launch()": "`look` (phase research) needs the input `path`: launch(path=...)",
    "flow.launch(path=1, alhpa=2)": "Did you mean `alpha`?",
    "flow.with_options(tags={})": "Did you mean `labels`?",
    "flow.clean": '@flow.phase("clean") decorates the function of a phase of this name',
    'flow.phase("استخراج")': 'such as "extract"',
    'flow.phase("étape une")': 'such as "etape_une"',
    'pn.tasks(scope="all")': 'write scope="session" or scope="user"',
    'pn.tasks(since="yesterday")': "is neither a time",
    'pn.task("nothing of this name")': "no id, no name and no end of an id is this",
    "pn.launhc": "did you mean `launch`?",
    "flow.research(retries=3)": "Did you mean `retry`?",
    "pn.Step('half')": 'pn.Step(percent=50, message="half")',
    "pn.Step(messag='half')": "did you mean `message`?",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_line_shows_itself_and_what_to_write(kernel, line):
    text = shown(kernel, line)
    assert WRONG[line] in text
    assert line in text  # the user's own line
    assert "site-packages" not in text
    assert "/phasenb/" not in text


def test_a_task_knows_what_its_names_are_elsewhere(kernel):
    text = shown(kernel, 'task = flow.launch(path="x", alpha=1)\ntask.wait()\ntask.status')
    assert "a task has no `status`: write `task.state`" in text
    assert "/phasenb/" not in text
    text = shown(kernel, 'task.output("plann")')
    assert "phases with an output: research, planning" in text
    assert "/phasenb/" not in text


def test_a_failure_shows_the_line_that_waited_and_the_line_that_failed(kernel):
    text = shown(
        kernel,
        "bad = pn.Workflow('bad')\n@bad.phase('fit')\ndef fit():\n    return {}['alpha']\n"
        "bad.with_options(recovery={'defaults': {'retry': {'maximum_attempts': 1}}}).launch().result()",
    )
    assert "failed in fit, attempt 1: KeyError: 'alpha'" in text
    assert "return {}['alpha']" in text
    assert ".launch().result()" in text
    assert "/phasenb/" not in text


def test_pandas_times_pick_tasks(kernel):
    code = "import pandas as pd\nprint(len(pn.tasks(since=pd.Timestamp.now() - pd.Timedelta('1h'))) > 0)"
    reply, messages = run_cell(kernel, code)
    assert reply["status"] == "ok", reply
    assert "True\n" in [each["content"]["text"] for each in messages if each["msg_type"] == "stream"]
