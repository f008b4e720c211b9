"""A phase puts another clock in the real one's place: what it tells arrives, with real times."""

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta

import cloudpickle
import pytest
from freezegun import freeze_time

from phasenb.client.loop_thread import shared_loop
from phasenb.core import real_clock
from phasenb.dto.phase import Step
from phasenb.executors.inline import InlineExecutor
from phasenb.executors.process import ProcessExecutor

cloudpickle.register_pickle_by_value(sys.modules[__name__])

LONG_AGO = "2001-02-03"
EXECUTORS = {"process": ProcessExecutor, "inline": InlineExecutor}


def frozen(ctx):
    from freezegun import freeze_time

    with freeze_time(LONG_AGO):
        from datetime import UTC, datetime

        ctx.log("logged")
        print("printed", datetime.now(UTC).year)
        ctx.update(0.5, "half")
        for _ in ctx.track(range(3)):
            pass
        return datetime.now(UTC).year


def frozen_generator(ctx):
    from freezegun import freeze_time

    with freeze_time(LONG_AGO):
        yield "yielded"
        yield "again"
    return 2001


def patched_by_hand(ctx):
    from unittest.mock import patch

    with patch("time.monotonic", lambda: 0.0), patch("time.time", lambda: 0.0):
        ctx.log("logged")
        for _ in ctx.track(range(3)):
            pass
        ctx.update(1.0, "all")
    return 2001


@pytest.mark.parametrize("kind", ["process", "inline"])
@pytest.mark.parametrize(
    ("phase", "said"),
    [(frozen, {"logged", "printed 2001"}), (frozen_generator, {"yielded", "again"}), (patched_by_hand, {"logged"})],
)
def test_what_is_told_under_another_clock_has_real_times(house, kind, phase, said):
    async def scenario():
        executor = EXECUTORS[kind]()
        slot = await executor.reserve("ada", None)
        told = await house.run(slot, phase)
        await slot.release()
        await executor.close()
        assert told.outcome.error is None
        assert told.value() == 2001
        assert {text for _, text in told.lines} == said
        times = [line.at for chunk in told.chunks for line in chunk.lines]
        assert all(abs(real_clock.now() - at) < timedelta(minutes=2) for at in times)
        assert all(isinstance(step, Step) for step in told.steps)

    shared_loop().run(asyncio.wait_for(scenario(), 60))  # where an inline phase runs: its loop keeps the real time


def test_the_real_clock_is_seen_through_a_patched_one():
    before = real_clock.monotonic()
    with freeze_time(LONG_AGO):
        assert time.monotonic() == time.monotonic()
        assert real_clock.now().year > 2001
        assert real_clock.monotonic() > before
        assert real_clock.patched()
    assert not real_clock.patched()
    assert abs(real_clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
