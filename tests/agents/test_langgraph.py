"""LangGraph's graphs as agents, as they are: with the real library, which is in the extra ``test``."""

from __future__ import annotations

import asyncio
import dataclasses
import operator
import pickle
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pandas as pd
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, Send, interrupt
from pydantic import BaseModel

import phasenb as pn
from phasenb.agents.local_run import LocalContext
from phasenb.codecs.names.files import write_code
from phasenb.codecs.names.reading import read_code
from phasenb.core.context import Cancelled, Context
from phasenb.core.launch_check import check_launch
from phasenb.core.reports import LogChunk, Report
from phasenb.dto.phase import Step
from phasenb.errors import AgentStopped, LaunchError
from phasenb.executors.failures import error_info


class State(TypedDict, total=False):
    topic: str
    notes: Annotated[list[str], operator.add]
    answer: str


def look(state: State) -> State:
    return {"notes": [state["topic"]]}


def write(state: State) -> State:
    return {"answer": "!".join(state["notes"])}


async def look_async(state: State) -> State:
    await asyncio.sleep(0)
    return look(state)


def graph_of(*nodes: Callable[..., Any], schema: Any = State, **more: Any) -> Any:
    """The nodes, one after the other."""
    builder = StateGraph(schema)
    for before, node in zip((None, *nodes), nodes, strict=False):
        builder.add_node(node.__name__, node)
        builder.add_edge(before.__name__ if before else START, node.__name__)
    builder.add_edge(nodes[-1].__name__, END)
    return builder.compile(**more)


reports: list[Report] = []


def run(agent: Any, /, **state: Any) -> Any:
    reports.clear()
    extended = pn.ExtendedAgent.of(agent)
    check_launch(extended.spec(), state)
    ctx = Context(reports.append, store_artifact=None, store_checkpoint=None, interval_s=0.0)  # type: ignore[arg-type]
    return extended.run_phase(extended.phases[0], ctx, state)


def told() -> list[tuple[float | None, str | None]]:
    return [(step.percent, step.message) for step in reports if isinstance(step, Step)]


def lines() -> list[str]:
    return [line.text for report in reports if isinstance(report, LogChunk) for line in report.lines]


@pytest.mark.parametrize("nodes", [(look, write), (look_async, write)], ids=["sync", "async"])
def test_a_graph_runs_as_it_is_and_its_result_is_the_final_state(nodes: Any) -> None:
    graph = graph_of(*nodes)
    assert run(graph, topic="owls") == {"topic": "owls", "notes": ["owls"], "answer": "owls"}
    assert dict.fromkeys(told()) == dict.fromkeys(
        [(0.0, nodes[0].__name__), (50.0, nodes[0].__name__), (50.0, "write"), (100.0, "write")]
    )


def test_a_graph_that_is_not_compiled_is() -> None:
    assert run(graph_of(look, write).builder, topic="owls")["answer"] == "owls"


def test_state_keys_are_inputs_and_a_misspelt_one_is_refused() -> None:
    extended = pn.ExtendedAgent.of(graph_of(look, write, name="notes"))
    assert extended.name == "notes"
    spec = extended.described()
    assert (spec.functions["implementation"].required, spec.functions["implementation"].optional) == (
        (),
        ("topic", "notes", "answer"),
    )
    assert spec.inputs is not None
    assert spec.inputs["properties"]["topic"] == {"type": "string", "title": "topic"}
    assert not spec.inputs["additionalProperties"]
    with pytest.raises(LaunchError, match=r"no phase takes the input `topc`.*Did you mean `topic`"):
        check_launch(spec, {"topc": "owls"})


class Settings(BaseModel):
    phase: str
    ctx: int = 3


@dataclasses.dataclass
class Fields:
    phase: str
    ctx: int = 3


class Frames(TypedDict):
    table: pd.DataFrame
    phase: str
    ctx: int


@pytest.mark.parametrize("schema", [Settings, Fields])
def test_other_schemas_and_keys_called_like_ours(schema: Any) -> None:
    def node(state: Any) -> dict[str, Any]:
        return {"ctx": state.ctx + 1}

    graph = graph_of(node, schema=schema)
    assert pn.ExtendedAgent.of(graph).phases == ("implementation",)
    assert run(graph, phase="solid") == {"phase": "solid", "ctx": 4}
    with pytest.raises(LaunchError, match="needs the input `phase`"):
        run(graph, ctx=1)


def test_a_state_that_has_no_json_schema() -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    graph = graph_of(_named(lambda state: {"ctx": len(state["table"])}, "count"), schema=Frames)
    assert run(graph, table=frame, phase="x")["ctx"] == 2
    assert set(pn.ExtendedAgent.of(graph).described().inputs["properties"]) == {"table", "phase", "ctx"}  # type: ignore[index]


class Question(TypedDict):
    topic: str


class Answer(TypedDict):
    answer: str


def test_input_and_output_schemas_are_the_graphs_own() -> None:
    builder = StateGraph(State, input_schema=Question, output_schema=Answer)
    builder.add_node("look", look)
    builder.add_node("write", write)
    builder.add_edge(START, "look")
    builder.add_edge("look", "write")
    graph = builder.compile()
    assert run(graph, topic="owls") == graph.invoke({"topic": "owls"}) == {"answer": "owls"}
    with pytest.raises(LaunchError, match="no phase takes the input `answer`"):
        run(graph, topic="owls", answer="")


def test_custom_streams_are_messages_and_progress() -> None:
    def node(state: State) -> State:
        writer = get_stream_writer()
        writer("reading")
        writer({"percent": 30, "message": "half of it"})
        writer({"tokens": 7})
        return {"answer": "done"}

    assert run(graph_of(node), topic="owls")["answer"] == "done"
    assert lines() == ["reading"]
    assert [message for _, message in told()] == ["node", "reading", "half of it", "{'tokens': 7}", "node"]


def test_a_loop_counts_when_it_is_left_and_a_branch_that_is_not_taken_never() -> None:
    def draft(state: State) -> State:
        return {"notes": ["x"]}

    def review(state: State) -> State:
        return {}

    def publish(state: State) -> State:
        return {"answer": "y"}

    builder = StateGraph(State)
    for node in (draft, review, publish, look):
        builder.add_node(node.__name__, node)
    builder.add_edge(START, "draft")
    builder.add_edge("draft", "review")
    after = {"again": "draft", "good": "publish", "bad": "look"}
    builder.add_conditional_edges("review", lambda state: "good" if len(state["notes"]) == 3 else "again", after)
    assert run(builder.compile()) == {"notes": ["x"] * 3, "answer": "y"}
    percents = [percent for percent, _ in told()]
    assert percents[:-2] == [0.0] * len(percents[:-2])
    assert percents[-2:] == [50.0, 75.0]
    assert max(step.done or 0 for step in reports if isinstance(step, Step)) == 7


def test_subgraphs_commands_and_sends() -> None:
    inner = graph_of(look, name="inner")

    def fan(state: State) -> Command[Any]:
        return Command(goto=[Send("write", {"notes": ["a"]}), "inner"])

    builder = StateGraph(State)
    builder.add_node("fan", fan)
    builder.add_node("inner", inner)
    builder.add_node("write", write)
    builder.add_edge(START, "fan")
    final = run(builder.compile(), topic="owls")
    assert (final["answer"], final["notes"]) == ("a", ["owls"])
    assert "inner / look" in [message for _, message in told()]


# --- the functional API ------------------------------------------------------------------------------------------


@task
def double(number: int) -> int:
    return 2 * number


@entrypoint()
def by_name(number: int) -> int:
    return double(number).result() + double(number).result()


@entrypoint()
def by_keys(inputs: dict[str, Any]) -> Any:
    return inputs or None


@entrypoint()
def typed(inputs: Question) -> str:
    return inputs["topic"]


@task
async def double_async(number: int) -> int:
    return 2 * number


@entrypoint()
async def in_a_loop(number: int) -> int:
    return sum(await asyncio.gather(double_async(number), double_async(1)))


def test_an_entrypoint_gets_its_argument_or_all_keywords() -> None:
    assert run(by_name, number=3) == 12
    assert {message for _, message in told()} == {"by_name", "double"}
    assert all(percent is None for percent, _ in told())
    assert run(in_a_loop, number=3) == 8
    assert run(by_keys, a=1, b=2) == {"a": 1, "b": 2}
    assert run(by_keys, inputs={"a": 1}) == {"a": 1}
    assert run(by_keys) is None
    assert run(typed, topic="owls") == run(typed, inputs={"topic": "owls"}) == "owls"
    with pytest.raises(LaunchError, match=r"no phase takes the input `numbr`.*Did you mean `number`"):
        run(by_name, numbr=3)


# --- what stops it -----------------------------------------------------------------------------------------------


def approve(state: State) -> State:
    return {"answer": interrupt({"publish?": state["topic"]})}


@pytest.mark.parametrize("saver", [None, InMemorySaver()])
def test_an_interrupt_is_a_failure_in_words_that_is_not_retried(saver: Any) -> None:
    graph = graph_of(approve, write, checkpointer=saver)
    with pytest.raises(AgentStopped, match=r"asks a person \(\{'publish\?': 'owls'\}\).*approve_before=") as caught:
        run(graph, topic="owls")
    assert not error_info(caught.value).retryable


def test_so_it_is_in_a_subgraph_an_entrypoint_and_before_a_node() -> None:
    with pytest.raises(AgentStopped, match=r"asks a person \(\{'publish\?': 'owls'\}\)"):
        run(graph_of(_named(graph_of(approve).invoke, "inner"), checkpointer=InMemorySaver()), topic="owls")

    @entrypoint(checkpointer=InMemorySaver())
    async def asks(topic: str) -> str:
        return str(interrupt(topic))

    with pytest.raises(AgentStopped, match=r"asks a person \('owls'\)"):
        run(asks, topic="owls")
    with pytest.raises(AgentStopped, match=r"stops for a person \(interrupt_before or interrupt_after\)"):
        run(graph_of(look, write, checkpointer=InMemorySaver(), interrupt_before=["write"]), topic="owls")


def _named(call: Callable[[Any], Any], name: str) -> Any:
    def node(state: Any) -> Any:
        return call(state)

    node.__name__ = name
    return node


def test_a_nodes_exception_comes_out_as_it_is() -> None:
    def fails(state: State) -> State:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(graph_of(fails), topic="owls")


@pytest.mark.parametrize("first", [look, look_async], ids=["sync", "async"])
def test_a_cancel_ends_it_at_the_next_step(first: Any) -> None:
    ctx = LocalContext()
    ran: list[str] = []

    def cancels(state: State) -> State:
        ctx.cancel()
        return {}

    def never(state: State) -> State:
        ran.append("never")
        return {}

    extended = pn.ExtendedAgent.of(graph_of(first, cancels, never))
    with pytest.raises(Cancelled):
        extended.run_phase("implementation", ctx, {"topic": "owls"})
    assert not ran


# --- pn.adapters, phases -----------------------------------------------------------------------------------------


def looping(state: State) -> Command[Any]:
    return Command(goto="looping")


def make_graph() -> Any:
    return graph_of(look, write)


def test_an_adapter_takes_a_factory_a_config_and_a_name() -> None:
    extended = pn.adapters.langgraph(make_graph, name="notes")
    assert (extended.name, extended.built) == ("notes", False)
    assert run(pickle.loads(pickle.dumps(extended)), topic="owls")["answer"] == "owls"
    with pytest.raises(AgentStopped, match=r'limit of 3 reached.*config=\{"recursion_limit": N\}'):
        run(pn.adapters.langgraph(graph_of(looping), {"recursion_limit": 3}), topic="owls")
    with pytest.raises(LaunchError, match="is neither a LangGraph graph nor a function"):
        pn.adapters.langgraph("graph")
    with pytest.raises(LaunchError, match=r"the factory `dict` made \{\}, which is no LangGraph graph"):
        run(pn.adapters.langgraph(dict))


def test_the_config_reaches_the_nodes_and_each_attempt_is_a_thread_of_its_own() -> None:
    seen: list[Any] = []

    def node(state: State, config: RunnableConfig) -> State:
        seen.append((config["configurable"]["thread_id"], config["configurable"].get("own")))
        return {"notes": ["x"]}

    extended = pn.adapters.langgraph(graph_of(node, checkpointer=InMemorySaver()), {"configurable": {"own": 1}})
    assert run(extended, topic="owls") == run(extended, topic="owls") == {"topic": "owls", "notes": ["x"]}
    assert [own for _, own in seen] == [1, 1]
    assert seen[0][0] != seen[1][0]


@dataclasses.dataclass
class Reader:
    name: str


def greet(state: State, runtime: Runtime[Reader]) -> State:
    return {"answer": f"{runtime.context.name} on {state['topic']}"}


def make_greeting() -> Any:
    builder = StateGraph(State, context_schema=Reader)
    builder.add_node("greet", greet)
    builder.add_edge(START, "greet")
    return builder.compile()


@pytest.mark.parametrize("given", [make_greeting(), make_greeting], ids=["graph", "factory"])
def test_the_context_reaches_the_nodes(given: Any) -> None:
    extended = pn.adapters.langgraph(given, context=Reader("ada"))
    assert run(read_code(write_code(extended)), topic="owls")["answer"] == "ada on owls"


def test_graphs_are_phases_of_a_flow() -> None:
    flow = pn.Workflow("papers")
    flow.research(graph_of(look, write))
    flow.implementation(lambda research: research["answer"].upper())
    assert flow.run(topic="owls") == "OWLS"
    extended = pn.ExtendedAgent(phases={"plan": graph_of(look), "build": lambda plan: plan["notes"]})
    assert run(extended, topic="owls") == {"topic": "owls", "notes": ["owls"]}
