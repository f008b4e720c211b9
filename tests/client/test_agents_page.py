"""docs/agents.md: the recipes that need no library but LangGraph, each as a person would run it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()
RECIPES = {
    "A function": "owls",
    "A generator": "owls",
    "An agent that takes a phase": "implementation after research of owls",
    "Methods of other names": "NOTES ON OWLS",
    "An agent that can't be sent to a worker": "slwo",
    "An agent that does not end": 12,
    "An agent with a `ctx` or a `phase` of its own": "solid tin",
    "LangGraph": {"topic": "owls", "notes": "notes on owls", "answer": "NOTES ON OWLS"},
}
ELSEWHERE = {"RA.Aid", "Pydantic AI", "smolagents", "OpenAI Agents", "llama-index workflows"}  # tests_outside


def recipes(page: str) -> dict[str, list[str]]:
    """{heading: its blocks of Python}."""
    sections = re.split(r"^##+ ", page, flags=re.MULTILINE)[1:]
    found = {section.partition("\n")[0]: re.findall(r"```python\n(.*?)```", section, re.DOTALL) for section in sections}
    return {heading: blocks for heading, blocks in found.items() if blocks}


def test_every_recipe_is_run_by_a_test():
    assert set(recipes(PAGE)) == set(RECIPES) | ELSEWHERE


@pytest.mark.parametrize("heading", RECIPES)
def test_a_recipe_gives_what_it_says(script, heading):
    script(f"assert task.result() == {RECIPES[heading]!r}", flow=recipes(PAGE)[heading][0])


def test_two_graphs_with_a_person_between_them(script):
    graph, gate = recipes(PAGE)["LangGraph"]
    graphs = "plan = graph\nbuild = lambda planning: planning['answer'] + '!'\n"
    script(
        """
        try:
            task.result(on_approval="raise")
        except pn.errors.ApprovalNeeded:
            task.approve()
        assert task.result() == "NOTES ON OWLS!"
        """,
        flow=graph.replace('task = pn.launch(graph, topic="owls")\n', graphs) + gate + "\nimport phasenb.errors\n",
    )
