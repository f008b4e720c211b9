"""A cancel reaches a LangGraph graph's nodes in the threads that LangGraph runs them in, and lets them clean up."""

import asyncio
import sys
import time
from pathlib import Path
from typing import TypedDict

import cloudpickle
import pytest
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph

from phasenb.core.reports import LogChunk
from phasenb.dto.phase_result import ResultStatus
from phasenb.executors.reports import COURTESY_S

cloudpickle.register_pickle_by_value(sys.modules[__name__])

CLEANUP_S = 3 * COURTESY_S


class State(TypedDict, total=False):
    place: str


def first(state):
    return {}


def loops(name, write, place):
    write(name)
    try:
        while True:
            time.sleep(0.01)
    except BaseException as error:
        with (Path(place) / name).open("a") as file:
            file.write(f"{type(error).__name__}\n")
        raise
    finally:
        ends = time.monotonic() + CLEANUP_S
        while time.monotonic() < ends:
            time.sleep(0.01)
        with (Path(place) / name).open("a") as file:
            file.write("cleaned up\n")


def one(state):
    loops("one", get_stream_writer(), state["place"])


def other(state):
    loops("other", get_stream_writer(), state["place"])


def never(state):
    (Path(state["place"]) / "never").touch()


def sleeps(state):
    get_stream_writer()("asleep")
    time.sleep(600)


def graph(*edges):
    builder = StateGraph(State)
    for name in sorted({each for edge in edges for each in edge} - {START}):
        builder.add_node(name, globals()[name])
    for edge in edges:
        builder.add_edge(*edge)
    return builder.compile()


def alone():
    return graph((START, "one"), ("one", "never"))


def side_by_side():
    return graph((START, "first"), ("first", "one"), ("first", "other"), ("one", "never"))


def inside():
    builder = StateGraph(State)
    builder.add_node("inner", alone())
    builder.add_edge(START, "inner")
    return builder.compile()


async def stopped(house, executor, agent, place, messages, grace_s=30.0):
    """The attempt's story, and the seconds that its end took."""
    slot = await executor.reserve("ada", None)
    run = slot.run(house.attempt(agent, {"place": str(place)}))
    waiting = set(messages)
    async for report in run:
        waiting -= {line.text for line in report.lines} if isinstance(report, LogChunk) else set()
        if not waiting:
            break
    began = time.monotonic()
    stopping = asyncio.create_task(run.stop(grace_s))
    told = await house.follow(run)
    await stopping
    took = time.monotonic() - began
    await slot.release()
    return told, took


@pytest.mark.parametrize("kind", ["process", "inline"])
@pytest.mark.parametrize("make", [alone, side_by_side, inside])
def test_a_cancel_reaches_the_nodes(house, on_process, on_inline, tmp_path, kind, make):
    names = ["one", "other"] if make is side_by_side else ["one"]

    async def scenario(executor):
        told, took = await stopped(house, executor, make(), tmp_path, names)
        assert told.outcome.status is ResultStatus.CANCELLED
        assert CLEANUP_S <= took < CLEANUP_S + 5
        assert not any("was still running" in line for line in told.said("log"))  # not by force
        for name in names:
            assert (tmp_path / name).read_text() == "Cancelled\ncleaned up\n"
        assert not (tmp_path / "never").exists()

    (on_process if kind == "process" else on_inline)(scenario)


def test_a_node_in_a_long_call_is_ended_by_force_and_the_log_says_so(house, on_process, tmp_path):
    async def scenario(executor):
        told, _ = await stopped(house, executor, graph((START, "sleeps")), tmp_path, ["asleep"], 2 * COURTESY_S)
        assert told.outcome.status is ResultStatus.CANCELLED
        assert told.said("log")[-1].startswith("`implementation` was still running when its time to end was over")

    on_process(scenario)
