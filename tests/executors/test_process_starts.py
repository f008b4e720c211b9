"""Workers that can't be started: for now, as the machine is short of something, or at all."""

import asyncio
import os
import resource
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import cloudpickle
import pytest

from phasenb.core.extended_agent import ExtendedAgent
from phasenb.errors import WorkerLost

cloudpickle.register_pickle_by_value(sys.modules[__name__])


def descriptors():
    return {int(path.name) for path in Path("/proc/self/fd").iterdir()}


@contextmanager
def descriptors_left(count):
    """Within: this process can open ``count`` more files, and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(descriptors())
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(highest)]  # the gaps, so that the limit is exact
    spare = [fd for fd in taken if fd > highest]
    for fd in spare:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in set(taken) - set(spare):
            os.close(fd)


def phase():
    return "done"


@pytest.mark.parametrize("count", range(10))
def test_a_shortage_of_descriptors_loses_an_attempt_and_nothing_else(house, on_process, count):
    async def scenario(executor):
        code = house.attempt(phase)
        open_before = len(descriptors())
        with descriptors_left(count):
            slot = await executor.reserve("ada", None)
        if slot.alive:
            assert count > 5
            return
        told = await house.follow(slot.run(code))
        assert (told.outcome.status, told.outcome.error.type) == ("lost", "phasenb.WorkerLost")
        assert told.outcome.error.retryable
        assert "Too many open files" in told.outcome.error.message
        await house.until(lambda: len(descriptors()) <= open_before)
        await house.until(lambda: not executor.pids)
        slot = await executor.reserve("ada", None)
        assert (await house.run(slot, phase)).value() == "done"
        await slot.release()

    on_process(scenario)


def test_an_agent_that_nobody_can_be_asked_about_now_is_no_wrong_launch(house, on_process):
    async def scenario(executor):
        code = house.attempt(phase).code
        with descriptors_left(0), pytest.raises(WorkerLost, match="could not be started"):
            await executor.describe("ada", None, None, code, house.url)
        assert (await executor.describe("ada", None, None, code, house.url)).name == "phase"

    on_process(scenario)


def never_made():
    time.sleep(600)


def test_a_worker_that_nobody_waits_for_any_more_answers_nobody_else(house, on_process):
    async def scenario(executor):
        slow = house.attempt(ExtendedAgent(factory=never_made)).code
        asking = asyncio.create_task(executor.describe("ada", None, None, slow, house.url))
        await house.until(lambda: executor._workers and all(worker._asked for worker in executor._workers))
        asking.cancel()
        await asyncio.wait([asking])
        assert (await executor.describe("ada", None, None, house.attempt(phase).code, house.url)).name == "phase"

    on_process(scenario, workers=1)
