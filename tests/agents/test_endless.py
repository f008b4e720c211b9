"""Agents that yield without end: ``max_steps`` and ``until``."""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from phasenb.agents.local_run import LocalContext
from phasenb.agents.packing import pack
from phasenb.codecs.names.reading import read_code
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.errors import AgentStopped, LaunchError
from phasenb.executors.failures import error_info


class Endless:
    """Yields what tells nothing, as RA.Aid does, and never ends by itself."""

    def __init__(self) -> None:
        self.made = 0
        self.closed = False

    def stream(self, goal: str) -> Iterator[dict[str, Any]]:
        try:
            while True:
                self.made += 1
                yield {"step": self.made, "goal": goal}
        finally:
            self.closed = True


class EndlessAsync(Endless):
    async def stream(self, goal: str) -> AsyncIterator[dict[str, Any]]:  # type: ignore[override]
        try:
            while True:
                self.made += 1
                yield {"step": self.made, "goal": goal}
        finally:
            self.closed = True


class HandMade(Endless):
    def stream(self, goal: str) -> Any:
        return self

    def __next__(self) -> dict[str, Any]:
        self.made += 1
        return {"step": self.made, "goal": "g"}


def run(extended: ExtendedAgent) -> Any:
    return extended.run_phase("implementation", LocalContext(), {"goal": "g"})


KINDS = [Endless, EndlessAsync, HandMade]


@pytest.mark.parametrize("kind", KINDS)
def test_more_steps_than_there_may_be_are_a_failure_in_words(kind: type[Endless]) -> None:
    agent = kind()
    with pytest.raises(AgentStopped, match=rf"`{kind.__name__}.stream` made more than 7 steps") as caught:
        run(ExtendedAgent(agent, max_steps=7))
    assert agent.made == 8
    assert agent.closed or kind is HandMade
    assert not error_info(caught.value).retryable


@pytest.mark.parametrize("kind", KINDS)
def test_until_ends_the_stream_with_its_result(kind: type[Endless]) -> None:
    agent = kind()
    assert run(ExtendedAgent(agent, until=lambda step: step["step"] == 3, max_steps=3)) == {"step": 3, "goal": "g"}
    assert agent.made == 3
    assert agent.closed or kind is HandMade


def test_until_may_look_at_the_agent_or_elsewhere() -> None:
    def enough(step: dict[str, Any], agent: Endless, most: int = 4) -> bool:
        return agent.made >= most and step["step"] == agent.made

    assert run(ExtendedAgent(Endless(), until=enough))["step"] == 4
    assert run(ExtendedAgent(factory=Endless, until=lambda agent: agent.made == 5))["step"] == 5
    assert run(ExtendedAgent(Endless(), until=operator.itemgetter("goal")))["step"] == 1
    flags = iter([False, True])
    assert run(ExtendedAgent(Endless(), until=lambda: next(flags)))["step"] == 2


def test_exactly_as_many_steps_as_there_may_be_are_no_failure() -> None:
    def agent() -> Iterator[Any]:
        yield from (None, 0.5, "text")
        return "done"

    assert run(ExtendedAgent(agent, max_steps=3)) == "done"
    with pytest.raises(AgentStopped, match="more than 2 steps"):
        run(ExtendedAgent(agent, max_steps=2))
    assert run(ExtendedAgent(lambda goal: goal, max_steps=1, until=lambda step: True)) == "g"  # no stream: no step


def test_what_is_given_lies_over_what_a_factory_gives() -> None:
    inner = ExtendedAgent(Endless(), max_steps=2, until=lambda step: step["step"] == 9)
    with pytest.raises(AgentStopped, match="more than 2 steps"):
        run(ExtendedAgent(factory=lambda: inner))
    assert run(ExtendedAgent(factory=lambda: inner, max_steps=20))["step"] > 2


def test_both_travel_with_the_agent() -> None:
    loaded = read_code(pack(ExtendedAgent(factory=Endless, max_steps=5, until=lambda step: step["step"] == 4)))
    assert run(loaded)["step"] == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_steps": 0}, "max_steps=0 is no number of steps"),
        ({"max_steps": 2.5}, "max_steps=2.5 is no number of steps"),
        ({"max_steps": True}, "max_steps=True is no number of steps"),
        ({"until": "done"}, "until='done' can't be called"),
        ({"until": lambda step, done: done}, "asks for `done`: it is given a step, and the agent as `agent`"),
    ],
)
def test_what_can_not_be_a_bound_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(LaunchError, match=words):
        ExtendedAgent(Endless(), **options)
