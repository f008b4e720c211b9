"""A phase that has noticed its cancel is left alone: its cleanup has the whole grace, on either executor."""

import asyncio
import sys
import time

import cloudpickle
import pytest

from phasenb.dto.phase_result import ResultStatus
from phasenb.executors.reports import COURTESY_S

cloudpickle.register_pickle_by_value(sys.modules[__name__])

CLEANUP_S = 3 * COURTESY_S  # an interrupt would come in the middle of it


def cleans_up(ctx):
    try:
        time.sleep(CLEANUP_S)
    except BaseException as error:
        ctx.log(f"cut short by {type(error).__name__}")
        raise
    ctx.log("cleaned up")


def tracks(ctx):
    ctx.update(message="go")
    try:
        for _ in ctx.track(range(10**6)):
            time.sleep(0.01)
    finally:
        cleans_up(ctx)


def asks(ctx):
    ctx.update(message="go")
    while not ctx.cancelled:
        time.sleep(0.01)
    cleans_up(ctx)


def yields(ctx):
    ctx.update(message="go")
    try:
        while True:
            yield
            time.sleep(0.01)
    finally:
        cleans_up(ctx)


async def awaits(ctx):
    ctx.update(message="go")
    try:
        await asyncio.sleep(600)
    finally:
        await cleans_up_in_a_loop(ctx)


async def yields_in_a_loop(ctx):
    ctx.update(message="go")
    try:
        while True:
            yield
            await asyncio.sleep(0.01)
    finally:
        await cleans_up_in_a_loop(ctx)


async def cleans_up_in_a_loop(ctx):
    try:
        await asyncio.sleep(CLEANUP_S)
    except BaseException as error:
        ctx.log(f"cut short by {type(error).__name__}")
        raise
    ctx.log("cleaned up")


def does_not_notice(ctx):
    ctx.update(message="go")
    try:
        while True:
            time.sleep(0.01)
    finally:
        cleans_up(ctx)


PHASES = [tracks, asks, yields, awaits, yields_in_a_loop, does_not_notice]


@pytest.mark.parametrize("kind", ["process", "inline"])
def test_a_cleanup_has_the_whole_grace(house, on_process, on_inline, kind):
    async def cancelled(executor, phase):
        slot = await executor.reserve("ada", None)
        run = slot.run(house.attempt(phase))
        await house.until_message(run, "go")
        stopping = asyncio.create_task(run.stop(30))
        told = await house.follow(run)
        await stopping
        await slot.release()
        return told.outcome.status, told.said("log")

    async def scenario(executor):
        told = await asyncio.gather(*(cancelled(executor, phase) for phase in PHASES))
        assert told == [(ResultStatus.CANCELLED, ["cleaned up"])] * len(PHASES)

    if kind == "process":
        on_process(scenario, workers=len(PHASES))
    else:
        on_inline(scenario)


def goes_on_all_the_same(ctx):
    ctx.update(message="go")
    while True:
        if ctx.cancelled:
            ctx.log("noticed")
        time.sleep(0.05)


def test_who_notices_and_goes_on_is_ended_by_force(house, on_process):
    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        run = slot.run(house.attempt(goes_on_all_the_same))
        await house.until_message(run, "go")
        began = time.monotonic()
        stopping = asyncio.create_task(run.stop(2 * COURTESY_S))
        told = await house.follow(run)
        await stopping
        assert time.monotonic() - began >= 2 * COURTESY_S
        assert told.outcome.status is ResultStatus.CANCELLED
        said = told.said("log")
        assert "noticed" in said
        [by_force] = [line for line in said if line != "noticed"]  # the last "noticed" may have been on its way
        assert by_force.endswith("it was ended by force, whatever it was about to clean up")
        assert not slot.alive
        await slot.release()

    on_process(scenario)
