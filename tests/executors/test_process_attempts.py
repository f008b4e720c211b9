"""Attempts in real worker processes: values, failures, logs, progress. One worker runs all it can, to be quick."""

import asyncio
import base64
import logging
import os
import subprocess
import sys
import time
import warnings

import cloudpickle
import pytest

from phasenb.agents.workflow import Workflow
from phasenb.core.ports import Attempt
from phasenb.dto.phase import Checkpoint
from phasenb.dto.phase_result import ErrorInfo
from phasenb.dto.values import as_reference, is_reference
from phasenb.errors import LaunchError

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # as notebook cells go; a worker can't import this file


class Rate(Exception):
    retry_after = 7


def with_slot(house, on_process, scenario):
    async def play(executor):
        slot = await executor.reserve("ada", None)
        try:
            return await scenario(slot)
        finally:
            await slot.release()

    return on_process(play)


def one(house, on_process, agent, values=None, **fields):
    return with_slot(house, on_process, lambda slot: house.run(slot, agent, values, **fields))


def test_phases_hand_values_on_and_ask_only_for_what_they_take(house, on_process):
    flow = Workflow("flow")

    @flow.research
    def research(n):
        return {"rows": list(range(n))}

    @flow.planning
    def planning(research):
        return (1, research["rows"])

    @flow.implementation
    def implementation(planning, ctx):
        ctx.update(0.5, "half", metrics={"score": 0.25})
        return planning[0] + len(planning[1])

    async def scenario(slot):
        # `huge` is in no store: whoever decoded it would fail.
        values = {"n": 3, "huge": {"$object": "sha256:" + "0" * 64, "codec": "pickle"}}
        for phase in flow.phases:
            attempt = house.attempt(flow, phase=phase)
            told = await house.follow(slot.run(replace_values(attempt, values)))
            assert told.outcome.status == "complete", told.outcome.error
            values[phase] = told.outcome.output
        return told, values

    told, values = with_slot(house, on_process, scenario)
    assert values["research"] == {"rows": [0, 1, 2]}
    assert as_reference(values["planning"]).type == "tuple"
    assert values["implementation"] == 4
    assert told.outcome.output_type == "int"
    assert told.outcome.metrics == {"score": 0.25}
    assert told.steps[-1].message == "half"


def replace_values(attempt, values):
    return Attempt(**{name: getattr(attempt, name) for name in attempt.__slots__} | {"values": dict(values)})


def test_a_failure_tells_type_bases_message_and_the_users_own_lines(house, on_process):
    def helper(n):
        raise Rate("too many\nrequests")

    def phase():
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError as error:
            helper(error)

    error = one(house, on_process, phase).outcome.error
    assert error.type == f"{__name__}.Rate"
    assert error.bases == (f"{__name__}.Rate", "Exception", "BaseException")
    assert error.message == "too many\nrequests"
    assert error.retry_after_s == 7
    assert error.retryable
    assert 'raise Rate("too many' in error.traceback
    assert "helper(error)" in error.traceback
    assert "ZeroDivisionError" in error.traceback
    assert "/phasenb/core/" not in error.traceback
    assert "/phasenb/executors/" not in error.traceback


def test_lines_of_a_cell_whose_file_the_worker_does_not_have(house, on_process, tmp_path):
    import linecache

    source = "def cell():\n    answer = 6 * 9\n    raise KeyError(answer)\n"
    name = "/tmp/ipykernel_123/456.py"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    scope = {"__name__": "__main__"}
    exec(compile(source, name, "exec"), scope)
    error = one(house, on_process, scope["cell"]).outcome.error
    assert error.type == "KeyError"
    assert error.message == "54"
    assert "raise KeyError(answer)" in error.traceback


@pytest.mark.parametrize("leave", [lambda: sys.exit(3), lambda: exec("raise KeyboardInterrupt")])
def test_what_ends_a_script_only_fails_a_phase(house, on_process, leave):
    def phase():
        leave()

    async def scenario(slot):
        failed = await house.run(slot, phase)
        return failed, await house.run(slot, lambda: "still here"), slot.alive

    failed, after, alive = with_slot(house, on_process, scenario)
    assert failed.outcome.status == "failed"
    assert failed.outcome.error.type in ("SystemExit", "KeyboardInterrupt")
    assert after.value() == "still here"
    assert alive


def test_an_exception_whose_str_raises_and_one_that_is_endless(house, on_process):
    class Rude(Exception):
        def __str__(self):
            raise RuntimeError

    def rude():
        raise Rude

    def endless():
        raise ValueError("x" * 1_000_000 + "the end \udcff")

    async def scenario(slot):
        return [(await house.run(slot, agent)).outcome.error for agent in (rude, endless)]

    first, second = with_slot(house, on_process, scenario)
    assert first.type.endswith("Rude")
    assert "RuntimeError" in first.message
    assert len(second.message) < 10_200
    assert "the end \\udcff" in second.message
    assert "characters left out" in second.message


def test_output_of_every_origin_is_in_the_log_in_order(house, on_process):
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

    told = one(house, on_process, phase)
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


def test_a_warning_is_told_in_each_attempt_and_logging_is_put_back(house, on_process):
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

    for lines in with_slot(house, on_process, scenario):
        assert len([line for line in lines if "once" in line]) == 1
        assert "INFO root: heard" in lines


def test_progress_bars_are_folded(house, on_process):
    def phase():
        from tqdm import tqdm

        for _ in tqdm(range(2000), mininterval=0, desc="rows"):
            pass
        for _ in tqdm(range(100), mininterval=0, leave=False):
            pass
        print("done", file=sys.stderr)

    lines = one(house, on_process, phase).said("stderr")
    assert len(lines) == 2
    assert lines[0].startswith("rows: 100%")
    assert "2000/2000" in lines[0]
    assert lines[1] == "done"


def test_the_log_is_bounded_and_says_what_was_dropped(house, on_process):
    def phase():
        for i in range(5000):
            print(f"line {i:05}")

    told = one(house, on_process, phase, log_bytes=20_000)
    kept = told.said("stdout")
    dropped = sum(chunk.dropped for chunk in told.chunks)
    assert kept[0] == "line 00000"
    assert kept[-1] == "line 04999"
    assert dropped + len(kept) == 5000
    assert sum(len(line) for line in kept) < 20_000
    assert len([line for line in told.said("log") if "only its last lines" in line]) == 1


def test_a_big_output_goes_to_the_folder_and_only_its_name_comes_back(house, on_process):
    pandas = pytest.importorskip("pandas")

    def phase(frame):
        return frame, b"x" * 3_000_000

    async def scenario(slot):
        frame = pandas.DataFrame({"a": range(100_000)})
        told = await house.run(slot, phase, {"frame": frame})
        return told, frame

    told, frame = with_slot(house, on_process, scenario)
    reference = as_reference(told.outcome.output)
    assert reference.bytes > 3_000_000
    back, data = told.value()
    assert back.equals(frame)
    assert len(data) == 3_000_000


def test_artifacts_and_checkpoints(house, on_process):
    def phase(ctx):
        before = ctx.last_checkpoint
        ctx.artifact("notes", "some text")
        ctx.artifact("model", b"bytes")
        ctx.checkpoint({"step": (before or {"step": 0})["step"] + 1})
        if ctx.attempt == 1:
            raise OSError("again")
        return [ctx.attempt, ctx.failure.type, before]

    async def scenario(slot):
        first = await house.run(slot, phase)
        kept = next(report for report in first.reports if isinstance(report, Checkpoint))
        failure = ErrorInfo(type="OSError", message="again")
        return first, await house.run(slot, phase, attempt=2, checkpoint=kept, failure=failure)

    first, second = with_slot(house, on_process, scenario)
    assert first.outcome.error.type == "OSError"
    assert [artifact.name for artifact in first.outcome.artifacts] == ["notes", "model"]
    assert second.value() == [2, "OSError", {"step": 1}]
    assert house.folder.get(second.outcome.artifacts[1].hash) == b"bytes"


def test_what_can_not_be_stored_is_a_failure_with_a_sentence(house, on_process):
    def phase():
        import threading

        return {"lock": threading.Lock()}

    error = one(house, on_process, phase).outcome.error
    assert error.type == "phasenb.ValueNotStorable"
    assert error.message.startswith("the output of `implementation` is a dict that can't be stored")
    assert not error.retryable


def test_code_that_needs_a_module_which_is_not_there(house, on_process):
    code = base64.b64encode(b"cno_such_library\nthing\n.").decode()
    told = one(house, on_process, None, code=code)
    assert told.outcome.error.type == "phasenb.LaunchError"
    assert "needs the module `no_such_library`" in told.outcome.error.message
    assert "notebook" in told.outcome.error.message
    assert not told.outcome.error.retryable


def test_code_by_reference_and_a_value_that_can_not_be_read(house, on_process):
    from phasenb.agents.packing import pack
    from phasenb.core.extended_agent import ExtendedAgent

    name, size = house.folder.put(pack(ExtendedAgent.of(lambda x: x + 1)))
    code = {"$object": name, "codec": "pickle", "bytes": size}
    broken, _ = house.folder.put(b"cno_such_library\nthing\n.")

    async def scenario(slot):
        fine = await house.run(slot, None, {"x": 1}, code=code)
        attempt = house.attempt(None, code=code)
        values = {"x": {"$object": broken, "codec": "pickle"}}
        return fine, await house.follow(slot.run(replace_values(attempt, values)))

    fine, failed = with_slot(house, on_process, scenario)
    assert fine.value() == 2
    assert "the value `x` needs the module `no_such_library`" in failed.outcome.error.message


def test_a_million_updates_stay_small_and_do_not_hold_the_loop(house, on_process):
    def phase(ctx):
        for i in range(1_000_000):
            ctx.update(i / 1_000_000, "busy")
        return "done"

    async def scenario(slot):
        run = slot.run(house.attempt(phase))
        # Nobody reads the run meanwhile: what waits must still be one step.
        await house.until(lambda: run.finished, 60)
        return await house.follow(run)

    told = with_slot(house, on_process, scenario)
    assert told.value() == "done"
    assert len(told.steps) == 1
    assert told.steps[0].percent == pytest.approx(100, abs=0.001)


def test_progress_arrives_while_the_phase_runs_also_between_updates(house, on_process):
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

    assert with_slot(house, on_process, scenario).outcome.status == "cancelled"


def test_async_phases_and_generators(house, on_process):
    async def slow():
        await asyncio.sleep(0)
        return "async"

    def steps():
        yield 0.5
        yield "words"
        return "generated"

    async def scenario(slot):
        return [(await house.run(slot, agent)).value() for agent in (slow, steps)]

    assert with_slot(house, on_process, scenario) == ["async", "generated"]


def test_describe_says_phases_and_arguments_and_refuses_in_a_sentence(house, on_process):
    flow = Workflow("flow")

    @flow.research
    def research(path, n=3): ...

    def broken():
        raise RuntimeError("no licence")

    from phasenb.core.extended_agent import ExtendedAgent

    async def scenario(executor):
        code = house.attempt(flow).code
        spec = await executor.describe("ada", None, None, code, house.url)
        assert spec.phases == ("research",)
        assert spec.functions["research"].required == ("path",)
        with pytest.raises(LaunchError, match="nowhere"):
            await executor.describe("ada", None, "nowhere:agent", None, house.url)
        code = house.attempt(ExtendedAgent(factory=broken)).code
        with pytest.raises(LaunchError, match="RuntimeError: no licence"):
            await executor.describe("ada", None, None, code, house.url)
        registered = await executor.describe("ada", None, "textwrap:dedent", None, house.url)
        assert registered.functions["implementation"].required == ("text",)
        assert len(executor.pids) == 1

    on_process(scenario)


def test_output_is_a_reference_only_where_it_must_be(house, on_process):
    async def scenario(slot):
        small = await house.run(slot, lambda: "x" * 100, inline_bytes=1000)
        large = await house.run(slot, lambda: "x" * 2000, inline_bytes=1000)
        return small, large

    small, large = with_slot(house, on_process, scenario)
    assert not is_reference(small.outcome.output)
    assert is_reference(large.outcome.output)
    assert large.value() == "x" * 2000
