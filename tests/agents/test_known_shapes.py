"""What well-known libraries yield and return, by classes of their shapes.

tests_outside/agent_libraries has the libraries themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from phasenb.core.context import Context
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.core.reports import Report
from phasenb.dto.phase import Step

reports: list[Report] = []


def run(agent: Any) -> Any:
    reports.clear()
    ctx = Context(reports.append, store_artifact=None, store_checkpoint=None, interval_s=0.0)  # type: ignore[arg-type]
    return ExtendedAgent.of(agent).run_phase("implementation", ctx, {})


def told() -> list[tuple[float | None, str | None]]:
    return [(step.done, step.message) for step in reports if isinstance(step, Step)]


def made(module: str, kind: str, /, *bases: type, **attributes: Any) -> Any:
    return type(kind, bases or (object,), {"__module__": module, **attributes})()


@pytest.mark.parametrize(
    "result",
    [
        made("pydantic_ai.run", "AgentRunResult", output=[1]),
        made("smolagents.agents", "RunResult", output=[1], state="success"),
        made("agents.result", "RunResult", type(made("agents.result", "RunResultBase")), final_output=[1]),
    ],
)
def test_a_run_result_stands_for_what_it_holds(result: Any) -> None:
    async def awaited() -> Any:
        return result

    def returned() -> Iterator[Any]:
        yield 0.5
        return result

    def yielded() -> Iterator[Any]:
        yield result

    assert run(lambda: result) == run(awaited) == run(returned) == run(yielded) == [1]


def test_steps_of_smolagents() -> None:
    call = made("smolagents.memory", "ToolCall", name="search", arguments={"q": "owls"})

    def agent() -> Iterator[Any]:
        yield made("smolagents.memory", "PlanningStep", plan="search, then answer")
        yield call
        yield made("smolagents.memory", "ActionStep", step_number=1, model_output="", tool_calls=[call])
        yield made("smolagents.memory", "ActionStep", step_number=2, model_output="Thought: enough", tool_calls=None)
        yield made("smolagents.agents", "ActionOutput", output=42)
        yield made("smolagents.memory", "FinalAnswerStep", output=42)

    assert run(agent) == 42
    assert told() == [
        (None, "search, then answer"),
        (None, "search({'q': 'owls'})"),
        (1.0, "search({'q': 'owls'})"),
        (2.0, "Thought: enough"),
    ]


def test_events_of_pydantic_ai_and_openai_agents() -> None:
    part = SimpleNamespace(tool_name="look", args={"where": "attic"})
    raw = SimpleNamespace(name="look")

    def agent() -> Iterator[Any]:
        yield made("pydantic_ai.messages", "PartDeltaEvent")
        yield made("pydantic_ai.messages", "FunctionToolCallEvent", part=part)
        yield made("agents.stream_events", "AgentUpdatedStreamEvent", new_agent=SimpleNamespace(name="helper"))
        yield made("agents.stream_events", "RunItemStreamEvent", name="tool_called", item=SimpleNamespace(raw_item=raw))
        yield made("agents.stream_events", "RunItemStreamEvent", name="tool_output", item=SimpleNamespace(raw_item={}))
        yield made("pydantic_ai.run", "AgentRunResultEvent", result=SimpleNamespace(output="an owl"))

    assert run(agent) == "an owl"
    assert [message for _, message in told()] == [
        "look({'where': 'attic'})",
        "helper",
        "tool_called: look",
        "tool_output",
    ]


def test_a_class_that_only_has_the_name_is_a_plain_value() -> None:
    mine = made("agents.mine", "RunResultBase", answer=3)
    other = made("mine", "AgentRunResult", output=3)
    assert run(lambda: mine) is mine
    assert run(lambda: other) is other
