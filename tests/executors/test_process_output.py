"""What attempts in real worker processes tell while they run: output, logging, warnings, progress."""

import asyncio
import logging
import os
import subprocess
import sys
import time
import warnings

import cloudpickle
import pytest

from phasenb.dto.phase import Step

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # as notebook cells go; a worker can't import this file


def test_texts_that_no_utf8_can_hold_are_told_all_the_same(house, on_slot, tmp_path):
    gate = tmp_path / "told"

    class Rude:
        def __str__(self):
            raise ZeroDivisionError

    def phase(ctx):
        ctx.update(0.1, "caf\udce9")
        ctx.update(0.2, Rude(), metrics={"m\udce9": 1})
        ctx.log("caf\udce9", Rude())
        print("caf\udce9")
        ctx.update(0.3, "then \udce9")
        while not gate.exists():  # only the worker's other thread can tell it
            time.sleep(0.005)
        return "done"

    def hear(report):
        if isinstance(report, Step) and report.message == "then \\udce9":
            gate.touch()

    async def scenario(slot):
        return await house.follow(slot.run(house.attempt(phase)), hear)

    told = on_slot(scenario)
    assert told.outcome.status == "complete", told.outcome.error
    assert told.steps[0].message == "caf\\udce9"
    assert told.steps[-1].message == "then \\udce9"
    assert told.outcome.metrics == {"m\\udce9": 1.0}
    assert told.said("log") == ["caf\\udce9 (Rude: its __str__ raised ZeroDivisionError)"]
    assert told.said("stdout") == ["caf\\udce9"]


def closes_its_output():
    os.close(1)
    os.close(2)


def redirects_its_output():
    for fd in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), fd)


@pytest.mark.parametrize("phase", [closes_its_output, redirects_its_output])
def test_an_attempt_without_output_leaves_the_next_ones_theirs(house, on_slot, phase):
    def speaks():
        print("heard")
        print("heard too", file=sys.stderr)

    async def scenario(slot):
        assert (await house.run(slot, phase)).outcome.status == "complete"
        told = await house.run(slot, speaks)
        assert told.outcome.status == "complete", told.outcome.error
        assert (told.said("stdout"), told.said("stderr")) == (["heard"], ["heard too"])

    on_slot(scenario)


def test_output_of_every_origin_is_in_the_log_in_order(one):
    def phase(ctx):
        import ctypes

        for i in range(3):
            print("python", i)
            os.write(1, b"native %d\n" % i)
        subprocess.run(["echo", "a child says so"], check=True)
        ctypes.CDLL(None).puts(b"buffered by C")
        print("to stderr", file=sys.stderr)
        print("no end of line", end="")
        logging.getLogger("my.library").info("it is %s", "logged")
        logging.getLogger("my.library").debug("not this")
        warnings.warn("careful", UserWarning, stacklevel=1)
        ctx.log("two\nlines")
        print(" \udcff and ünïcode")
        print("last")

    told = one(phase)
    out = told.said("stdout")
    assert out[:7] == [*(x for i in range(3) for x in (f"python {i}", f"native {i}")), "a child says so"]
    assert "no end of line \\udcff and ünïcode" in out
    assert {"buffered by C", "last"} < set(out)  # where C buffers, it comes at the end
    assert told.said("stderr") == ["to stderr"]
    log = told.said("log")
    assert log[0] == "INFO my.library: it is logged"
    assert log[1].startswith("UserWarning: careful (")
    assert log[2:] == ["two", "lines"]
    assert all(line.at.tzinfo for chunk in told.chunks for line in chunk.lines)


def test_a_warning_is_told_in_each_attempt_and_logging_is_put_back(house, on_slot):
    def phase():
        logging.basicConfig(level=logging.DEBUG, handlers=[logging.NullHandler()], force=True)
        warnings.simplefilter("ignore")

    def warn():
        for _ in range(3):
            warnings.warn("once", UserWarning, stacklevel=1)
        logging.info("heard")

    async def scenario(slot):
        await house.run(slot, phase)
        return [(await house.run(slot, warn)).said("log") for _ in range(2)]

    for lines in on_slot(scenario):
        assert len([line for line in lines if "once" in line]) == 1
        assert "INFO root: heard" in lines


def test_progress_bars_are_folded(one):
    def phase():
        from tqdm import tqdm

        for _ in tqdm(range(2000), mininterval=0, desc="rows"):
            pass
        for _ in tqdm(range(100), mininterval=0, leave=False):
            pass
        print("done", file=sys.stderr)

    lines = one(phase).said("stderr")
    assert len(lines) == 2
    assert lines[0].startswith("rows: 100%")
    assert "2000/2000" in lines[0]
    assert lines[1] == "done"


def test_the_log_is_bounded_and_says_what_was_dropped(one):
    def phase():
        for i in range(5000):
            print(f"line {i:05}")

    told = one(phase, log_bytes=20_000)
    kept = told.said("stdout")
    dropped = sum(chunk.dropped for chunk in told.chunks)
    assert kept[0] == "line 00000"
    assert kept[-1] == "line 04999"
    assert dropped + len(kept) == 5000
    assert sum(len(line) for line in kept) < 20_000
    assert len([line for line in told.said("log") if "only its last lines" in line]) == 1


def test_a_million_updates_stay_small_and_do_not_hold_the_loop(house, on_slot):
    def phase(ctx):
        for i in range(1_000_000):
            ctx.update(i / 1_000_000, "busy")
        return "done"

    async def scenario(slot):
        run = slot.run(house.attempt(phase))
        # Nobody reads the run meanwhile: what waits must still be one step.
        await house.until(lambda: run.finished, 60)
        return await house.follow(run)

    told = on_slot(scenario)
    assert told.value() == "done"
    assert len(told.steps) == 1
    assert told.steps[0].percent == pytest.approx(100, abs=0.001)


def test_progress_arrives_while_the_phase_runs_also_between_updates(house, on_slot):
    def phase(ctx):
        ctx.update(0.1, "first")
        ctx.update(0.2, "second")  # too early to be sent: the worker's other thread does it
        while not ctx.cancelled:
            time.sleep(0.01)

    async def scenario(slot):
        run = slot.run(house.attempt(phase))
        await asyncio.wait_for(house.until_message(run, "second"), 10)
        await run.stop(5)
        return await house.follow(run)

    assert on_slot(scenario).outcome.status == "cancelled"
