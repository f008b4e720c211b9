"""What well-known agent libraries yield and return, read by the names of their classes: none is imported.

Rules: a run's result stands for what it holds (``.output``, ``.final_output``). An event tells a message, a step's
number or the result; one that does neither (a piece of a text, a model's raw answer) says only that the phase goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

NO_RESULT: Any = object()


@dataclass(frozen=True, slots=True)
class Told:
    """What an event tells. ``number``: of the step; ``result``: NO_RESULT where it has none."""

    message: str | None = None
    number: float | None = None
    result: Any = NO_RESULT


_Reader = Callable[[Any], Told]


def _result(attribute: str) -> _Reader:
    return lambda item: Told(result=getattr(item, attribute))


def _action(step: Any) -> Told:
    called = [f"{call.name}({call.arguments})" for call in getattr(step, "tool_calls", None) or ()]
    thought = getattr(step, "model_output", None)
    told = thought if isinstance(thought, str) and thought.strip() else "; ".join(called)
    return Told(told or None, step.step_number)


def _tool(event: Any) -> Told:
    return Told(f"{event.part.tool_name}({event.part.args})")


def _item(event: Any) -> Told:
    raw = getattr(event.item, "raw_item", None)
    called = getattr(raw, "name", None)
    return Told(f"{event.name}: {called}" if isinstance(called, str) else event.name)


# The package and class; a class is looked for among the bases too, whatever module of the package it is in today.
_SHAPES: dict[tuple[str, str], _Reader] = {
    ("pydantic_ai", "AgentRunResult"): _result("output"),
    ("pydantic_ai", "AgentRunResultEvent"): lambda event: Told(result=event.result.output),
    ("pydantic_ai", "FunctionToolCallEvent"): _tool,
    ("pydantic_ai", "FunctionToolResultEvent"): lambda event: Told(),
    ("pydantic_ai", "FinalResultEvent"): lambda event: Told(),
    ("pydantic_ai", "PartStartEvent"): lambda event: Told(),
    ("pydantic_ai", "PartDeltaEvent"): lambda event: Told(),
    ("pydantic_ai", "PartEndEvent"): lambda event: Told(),
    ("smolagents", "RunResult"): _result("output"),
    ("smolagents", "FinalAnswerStep"): _result("output"),
    ("smolagents", "ActionStep"): _action,
    ("smolagents", "PlanningStep"): lambda step: Told(str(step.plan)),
    ("smolagents", "ToolCall"): lambda call: Told(f"{call.name}({call.arguments})"),
    ("smolagents", "ToolOutput"): lambda output: Told(),
    ("smolagents", "ActionOutput"): lambda output: Told(),
    ("smolagents", "ChatMessageStreamDelta"): lambda delta: Told(),
    ("agents", "RunResultBase"): _result("final_output"),
    ("agents", "RunItemStreamEvent"): _item,
    ("agents", "RawResponsesStreamEvent"): lambda event: Told(),
    ("agents", "AgentUpdatedStreamEvent"): lambda event: Told(str(event.new_agent.name)),
}


def told_by(item: Any) -> Told | None:
    """What a library's event or result tells; None for a thing of any other kind, or of another form than is known."""
    for cls in type(item).__mro__:
        reader = _SHAPES.get((cls.__module__.partition(".")[0], cls.__name__))
        if reader is not None:
            try:
                return reader(item)
            except AttributeError:  # another release's, or another library's of the same name
                return None
    return None


def unwrapped(value: Any) -> Any:
    """What a library's run result holds; anything else as it is."""
    told = told_by(value)
    return value if told is None or told.result is NO_RESULT else told.result
