"""LangGraph's graphs launched as they are, carried out by real workers."""

from __future__ import annotations

import pytest

GRAPHS = """
    import operator
    from typing import Annotated, TypedDict

    import phasenb as pn
    from langgraph.config import get_stream_writer
    from langgraph.func import entrypoint, task
    from langgraph.graph import START, StateGraph
    from langgraph.types import interrupt

    class State(TypedDict, total=False):
        topic: str
        notes: Annotated[list[str], operator.add]
        answer: str

    def look(state: State):
        get_stream_writer()("looking at " + state["topic"])
        return {"notes": [state["topic"]]}

    async def write(state: State):
        return {"answer": "!".join(state["notes"])}

    def graph_of(*nodes):
        builder = StateGraph(State)
        builder.add_sequence([(node.__name__, node) for node in nodes])
        builder.add_edge(START, nodes[0].__name__)
        return builder.compile()

    @task
    def double(number):
        return 2 * number

    @entrypoint()
    def doubled(number: int):
        return double(number).result() + 1

    def make_graph():
        return graph_of(look, write)

    def approve(state: State):
        return {"answer": interrupt("publish?")}
"""


@pytest.mark.parametrize("agent", ["graph_of(look, write)", "pn.adapters.langgraph(make_graph)"])
def test_a_graph_runs_in_a_worker(script, agent):
    script(
        f"""
        task = pn.launch({agent}, topic="owls")
        assert task.result() == {{"topic": "owls", "notes": ["owls"], "answer": "owls"}}
        assert "looking at owls" in list(task.logs()["text"])
        assert task.percent == 100
        """,
        flow=GRAPHS,
    )


def test_the_functional_api_runs_in_a_worker(script):
    script("assert pn.launch(doubled, number=3).result() == 7", flow=GRAPHS)


def test_an_interrupt_fails_the_task_at_once_and_says_what_to_do(script):
    script(
        """
        graph = pn.ExtendedAgent(factory=lambda: graph_of(approve), name="approves")
        task = graph.with_options(recovery={"defaults": {"retry": {"maximum_attempts": 5}}}).launch(topic="owls")
        try:
            task.result()
        except pn.TaskFailed as failed:
            assert "the node `approve` asks a person ('publish?')" in str(failed)
            assert "approve_before=" in str(failed)
        assert task.state == "failed"
        assert list(task.results()["attempt"]) == [1]
        """,
        flow=GRAPHS,
    )
