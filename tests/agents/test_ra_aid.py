"""RA.Aid's agent, by a small one of the same shape; tests_outside/ra_aid has the real one."""

from __future__ import annotations

import contextvars
import logging
import pickle
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

import phasenb as pn
from phasenb.core.context import Cancelled, Context
from phasenb.core.reports import LogChunk, Report
from phasenb.dto.phase import Step
from phasenb.errors import AgentCrashed, AgentStopped, LaunchError
from phasenb.executors.failures import error_info

_told: contextvars.ContextVar[Any] = contextvars.ContextVar("agent_context", default=None)


class FakeContext:
    def __init__(self) -> None:
        self.is_completed = False
        self.completion_message = ""
        self.agent_crashed_message: str | None = None

    def is_crashed(self) -> bool:
        return self.agent_crashed_message is not None


@contextmanager
def agent_context() -> Iterator[FakeContext]:
    token = _told.set(FakeContext())
    try:
        yield _told.get()
    finally:
        _told.reset(token)


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("ra_aid.agent_context")
    module.agent_context = agent_context  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ra_aid", types.ModuleType("ra_aid"))
    monkeypatch.setitem(sys.modules, "ra_aid.agent_context", module)


class Entry:
    def __init__(self, content: str) -> None:
        self.content = content


class Bill:
    total_cost = Decimal(7)  # one for all agents of a process, as the library has it


class FakeAgent:
    """Yields ``{}`` for each step without end, whatever it does and says."""

    def __init__(self, *does: Callable[[Any], str]) -> None:
        self.does = does
        self.chat_history: list[Entry] = []
        self.callback_handler = Bill()
        self.prompts: list[str] = []

    def stream(self, messages: dict[str, Any], config: Any) -> Iterator[dict[str, Any]]:
        self.prompts.append(messages["messages"][0].content)
        for step in self.does:
            logging.getLogger("ra_aid.tools").warning("no record of %d", len(self.chat_history))
            self.chat_history.append(Entry(step(self)))
            yield {}
        if not _told.get().is_crashed():
            while True:
                yield {}


def done(message: str) -> Callable[[Any], str]:
    def step(agent: Any) -> str:
        _told.get().is_completed, _told.get().completion_message = True, message
        return f"task_completed({message!r})"

    return step


def crash(agent: Any) -> str:
    _told.get().agent_crashed_message = "no tool calls"
    return ""


def spend(agent: FakeAgent) -> str:
    Bill.total_cost += Decimal("0.4")
    return "ask_expert()"


reports: list[Report] = []


def run(extended: pn.ExtendedAgent, phase: str = "research", **values: Any) -> Any:
    reports.clear()
    ctx = Context(reports.append, store_artifact=None, store_checkpoint=None, interval_s=0.0)  # type: ignore[arg-type]
    return extended.run_phase(phase, ctx, {"goal": "find owls", **values})


def lines() -> list[str]:
    return [line.text for report in reports if isinstance(report, LogChunk) for line in report.lines]


def test_three_phases_with_one_goal_and_an_agent_each() -> None:
    made: list[tuple[str, FakeAgent]] = []

    def make_agent(phase: str) -> FakeAgent:
        made.append((phase, FakeAgent(lambda agent: "look('attic')", done(f"{phase} is done"))))
        return made[-1][1]

    extended = pn.adapters.ra_aid(make_agent)
    assert extended.phases == ("research", "planning", "implementation")
    assert extended.spec().functions["planning"].required == ("goal", "research")
    values: dict[str, Any] = {}
    for phase in extended.phases:
        values[phase] = run(extended, phase, **values)
        assert [(step.done, step.message) for step in reports if isinstance(step, Step)][:2] == [
            (1, "look('attic')"),
            (2, f"task_completed('{phase} is done')"),
        ]
    assert values["implementation"] == "implementation is done"
    assert [phase for phase, _ in made] == list(extended.phases)
    prompts = [agent.prompts[0] for _, agent in made]
    assert all("Goal: find owls" in prompt for prompt in prompts)
    assert "What the planning said:\nplanning is done" in prompts[2]
    assert _told.get() is None


def test_what_it_can_not_end_is_a_failure_in_words() -> None:
    crashed = pn.adapters.ra_aid(lambda: FakeAgent(crash))
    with pytest.raises(AgentCrashed, match="crashed in the phase `research`: no tool calls") as caught:
        run(crashed)
    assert error_info(caught.value).retryable
    with pytest.raises(AgentStopped, match="made more than 5 steps") as stopped:
        run(pn.adapters.ra_aid(FakeAgent, max_steps=5))
    assert not error_info(stopped.value).retryable
    with pytest.raises(AgentStopped, match=r"spent 1.20 US dollars in the phase `research`.*max_cost="):
        run(pn.adapters.ra_aid(lambda: FakeAgent(*[spend] * 9), max_cost=1))
    assert run(pn.adapters.ra_aid(lambda: FakeAgent(spend, done("cheap")), max_cost=1)) == "cheap"
    assert _told.get() is None


def test_its_warnings_are_folded(capsys: pytest.CaptureFixture[str]) -> None:
    run(pn.adapters.ra_aid(lambda: FakeAgent(*[lambda agent: "look()"] * 7, done("yes"))))
    assert lines() == ["WARNING ra_aid.tools: no record of 0", "RA.Aid warned 7 more times of what stands above"]
    assert capsys.readouterr().err == ""
    assert logging.getLogger("ra_aid").propagate
    assert not logging.getLogger("ra_aid").handlers


def test_a_cancel_ends_it_and_its_context() -> None:
    ctx = Context(lambda report: None, store_artifact=None, store_checkpoint=None)  # type: ignore[arg-type]

    def cancel(agent: Any) -> str:
        ctx.cancel()
        return "look()"

    with pytest.raises(Cancelled):
        pn.adapters.ra_aid(lambda: FakeAgent(cancel)).run_phase("research", ctx, {"goal": "g"})
    assert _told.get() is None
    assert not logging.getLogger("ra_aid").handlers


def make_agent(goal: str) -> FakeAgent:
    return FakeAgent(done(goal.upper()))


def test_it_travels_and_bad_bounds_are_refused() -> None:
    assert run(pickle.loads(pickle.dumps(pn.adapters.ra_aid(make_agent)))) == "FIND OWLS"
    with pytest.raises(LaunchError, match="can't be called"):
        pn.adapters.ra_aid(FakeAgent())  # type: ignore[arg-type]
    with pytest.raises(LaunchError, match="no amount of US dollars"):
        pn.adapters.ra_aid(make_agent, max_cost=0)
    with pytest.raises(LaunchError, match="returned None"):
        run(pn.adapters.ra_aid(lambda: None))
