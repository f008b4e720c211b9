"""The text of a phase's function is that of the function which is launched, and not of one with the same code."""

import linecache

import phasenb as pn
from phasenb.agents.sources import sources
from phasenb.core.extended_agent import ExtendedAgent

CELL = """
flow = pn.Workflow("w")


@flow.research
def fit(alpha=0.1):
    return alpha  # the first
"""


def run_cell(number, text):
    """As IPython runs a cell: its text can be read afterwards."""
    name = f"<cell {number}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    names = {"pn": pn}
    exec(compile(text, name, "exec"), names)
    return names["flow"]


def test_a_cell_that_is_run_again_with_other_defaults_or_options_has_its_own_text():
    flows = [
        run_cell(number, text)
        for number, text in enumerate(
            (
                CELL,
                CELL.replace("0.1", "0.2"),
                CELL.replace("@flow.research", "@flow.research(retry=5)"),
                CELL.replace("the first", "the last"),
            )
        )
    ]
    found = [sources(ExtendedAgent.of(flow))["research"] for flow in flows]
    assert len(set(found)) == 4
    for text, own in zip(found, ("alpha=0.1", "alpha=0.2", "retry=5", "the last"), strict=True):
        assert own in text
