"""Texts that an agent yields: pieces of one text where it streams, messages elsewhere; lost nowhere."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from phasenb.core.context import Context
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.core.reports import LogChunk, Report
from phasenb.dto.phase import Step


class Streams:
    def stream(self, prompt: str) -> Iterator[str]:
        yield from (prompt, ", ", "wor", "ld")


class StreamsAsync:
    async def stream(self, prompt: str) -> AsyncIterator[str]:
        for piece in (prompt, ", ", "wor", "ld"):
            yield piece


class StreamsAwaited:
    async def stream(self, prompt: str) -> Iterator[str]:
        return Streams().stream(prompt)


class StreamsWithAnswer:
    def stream(self, prompt: str) -> Iterator[Any]:
        yield "thinking "
        yield {"result": prompt}


class Processes:
    def process(self, prompt: str) -> Iterator[str]:
        yield from ("reading", prompt)


@pytest.fixture
def reports() -> list[Report]:
    return []


@pytest.fixture
def ctx(reports: list[Report]) -> Context:
    return Context(reports.append, store_artifact=None, store_checkpoint=None, interval_s=0.0)  # type: ignore[arg-type]


def run(agent: Any, ctx: Context, prompt: str = "Hello") -> Any:
    return ExtendedAgent.of(agent).run_phase("implementation", ctx, {"prompt": prompt})


@pytest.mark.parametrize("agent", [Streams(), StreamsAsync(), StreamsAwaited()])
def test_a_streamed_text_is_the_result_and_shown_as_it_grows(agent: Any, ctx: Context, reports: list[Report]) -> None:
    assert run(agent, ctx) == "Hello, world"
    told = [report.message for report in reports if isinstance(report, Step)]
    assert told == ["Hello", "Hello, ", "Hello, wor", "Hello, world"]


def test_a_mapped_stream_method_is_read_the_same_way(ctx: Context) -> None:
    agent = ExtendedAgent(Streams(), phases={"research": "stream"})
    assert agent.run_phase("research", ctx, {"prompt": "Hello"}) == "Hello, world"


def test_of_a_long_text_the_newest_part_is_shown(ctx: Context, reports: list[Report]) -> None:
    text = "".join(str(number) for number in range(1_000))
    assert run(Streams(), ctx, text) == f"{text}, world"
    assert all(len(report.message or "") <= 120 for report in reports if isinstance(report, Step))


def test_a_result_that_is_told_counts_before_the_text(ctx: Context) -> None:
    assert run(StreamsWithAnswer(), ctx) == "Hello"


def test_a_text_that_is_no_stream_is_a_message_as_the_log_says(ctx: Context, reports: list[Report]) -> None:
    assert run(Processes(), ctx) is None
    assert [report.message for report in reports if isinstance(report, Step)] == ["reading", "Hello"]
    assert [line.text for report in reports if isinstance(report, LogChunk) for line in report.lines] == [
        "reading",
        "Hello",
        "phasenb: the result of `Processes.process` is None: texts that it yields are messages, `return` the result",
    ]


def test_a_fraction_that_is_no_number_is_refused_in_words(ctx: Context) -> None:
    with pytest.raises(TypeError, match="a fraction from 0 to 1, not a str"):
        ctx.update("half")  # type: ignore[arg-type]
