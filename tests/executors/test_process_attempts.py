"""Attempts in real worker processes: values, failures, code. One worker runs all it can, to be quick."""

import asyncio
import base64
import sys

import cloudpickle
import pytest

from phasenb.agents.workflow import Workflow
from phasenb.core.reports import Attempt, Beat
from phasenb.dto.phase import Checkpoint
from phasenb.dto.phase_result import ErrorInfo
from phasenb.dto.values import as_reference, is_reference
from phasenb.errors import LaunchError

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # as notebook cells go; a worker can't import this file


class Rate(Exception):
    retry_after = 7


def test_phases_hand_values_on_and_ask_only_for_what_they_take(house, on_slot):
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

    told, values = on_slot(scenario)
    assert values["research"] == {"rows": [0, 1, 2]}
    assert as_reference(values["planning"]).type == "tuple"
    assert values["implementation"] == 4
    assert told.outcome.output_type == "int"
    assert told.outcome.metrics == {"score": 0.25}
    assert told.steps[-1].message == "half"


def replace_values(attempt, values):
    return Attempt(**{name: getattr(attempt, name) for name in attempt.__slots__} | {"values": dict(values)})


def test_an_exception_whose_retry_after_raises_is_told_all_the_same(one):
    class Odd(Exception):
        @property
        def retry_after(self):
            raise RuntimeError("no header")

    def phase():
        raise Odd("too many requests")

    error = one(phase).outcome.error
    assert (error.message, error.retry_after_s) == ("too many requests", None)


def test_what_is_written_is_a_sign_of_life_also_without_a_lines_end(house, on_slot):
    def phase(ctx):
        import sys

        while not ctx.cancelled:
            sys.stdout.write(".")
            sys.stdout.flush()
        return "done"

    async def scenario(slot):
        run = slot.run(house.attempt(phase, heartbeat_s=0.3))
        beats = 0
        while beats < 3:
            beats += isinstance(await anext(aiter(run)), Beat)
        await run.stop(5)

    on_slot(scenario)


def test_a_failure_tells_type_bases_message_and_the_users_own_lines(one):
    def helper(n):
        raise Rate("too many\nrequests")

    def phase():
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError as error:
            helper(error)

    error = one(phase).outcome.error
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


def test_lines_of_a_cell_whose_file_the_worker_does_not_have(one, tmp_path):
    import linecache

    source = "def cell():\n    answer = 6 * 9\n    raise KeyError(answer)\n"
    name = "/tmp/ipykernel_123/456.py"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    scope = {"__name__": "__main__"}
    exec(compile(source, name, "exec"), scope)
    error = one(scope["cell"]).outcome.error
    assert error.type == "KeyError"
    assert error.message == "54"
    assert "raise KeyError(answer)" in error.traceback


@pytest.mark.parametrize("leave", [lambda: sys.exit(3), lambda: exec("raise KeyboardInterrupt")])
def test_what_ends_a_script_only_fails_a_phase(house, on_slot, leave):
    def phase():
        leave()

    async def scenario(slot):
        failed = await house.run(slot, phase)
        return failed, await house.run(slot, lambda: "still here"), slot.alive

    failed, after, alive = on_slot(scenario)
    assert failed.outcome.status == "failed"
    assert failed.outcome.error.type in ("SystemExit", "KeyboardInterrupt")
    assert after.value() == "still here"
    assert alive


def test_an_exception_whose_str_raises_and_one_that_is_endless(house, on_slot):
    class Rude(Exception):
        def __str__(self):
            raise RuntimeError

    def rude():
        raise Rude

    def endless():
        raise ValueError("x" * 1_000_000 + "the end \udcff")

    async def scenario(slot):
        return [(await house.run(slot, agent)).outcome.error for agent in (rude, endless)]

    first, second = on_slot(scenario)
    assert first.type.endswith("Rude")
    assert "RuntimeError" in first.message
    assert len(second.message) < 10_200
    assert "the end \\udcff" in second.message
    assert "characters left out" in second.message


def test_a_big_output_goes_to_the_folder_and_only_its_name_comes_back(house, on_slot):
    import pandas

    def phase(frame):
        return frame, b"x" * 3_000_000

    async def scenario(slot):
        frame = pandas.DataFrame({"a": range(100_000)})
        told = await house.run(slot, phase, {"frame": frame})
        return told, frame

    told, frame = on_slot(scenario)
    reference = as_reference(told.outcome.output)
    assert reference.bytes > 3_000_000
    back, data = told.value()
    assert back.equals(frame)
    assert len(data) == 3_000_000


def test_artifacts_and_checkpoints(house, on_slot):
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

    first, second = on_slot(scenario)
    assert first.outcome.error.type == "OSError"
    assert [artifact.name for artifact in first.outcome.artifacts] == ["notes", "model"]
    assert second.value() == [2, "OSError", {"step": 1}]
    assert house.folder.get(second.outcome.artifacts[1].hash) == b"bytes"


def test_a_figure_that_is_returned_has_its_picture_as_an_artifact(one, house):
    def phase(ctx, keep):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(1, 1))
        figure.add_subplot().plot([1, 2])
        if keep:
            ctx.artifact("curve", figure)
        return figure

    told = one(phase, {"keep": False})
    (picture,) = told.outcome.artifacts
    assert (picture.name, picture.codec) == ("output", "png")
    assert house.folder.get(picture.hash).startswith(b"\x89PNG")
    assert type(told.value()).__name__ == "Figure", "what the next phase gets is the figure itself"
    assert [artifact.name for artifact in one(phase, {"keep": True}).outcome.artifacts] == ["curve"]


def test_a_figure_that_can_not_be_drawn_is_an_output_all_the_same(one):
    def phase():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(1, 1))
        figure.add_subplot(title="$\\nonsense$")
        return figure

    told = one(phase)
    assert told.outcome.status == "complete"
    assert told.outcome.artifacts == ()
    assert any("no picture of the output" in text for text in told.said("log"))


def test_what_can_not_be_stored_is_a_failure_with_a_sentence(one):
    def phase():
        import threading

        return {"lock": threading.Lock()}

    error = one(phase).outcome.error
    assert error.type == "phasenb.ValueNotStorable"
    assert error.message.startswith("the output of `implementation` is a dict that can't be stored")
    assert not error.retryable


def test_code_that_needs_a_module_which_is_not_there(one):
    code = base64.b64encode(b"cno_such_library\nthing\n.").decode()
    told = one(None, code=code)
    assert told.outcome.error.type == "phasenb.LaunchError"
    assert "needs the module `no_such_library`" in told.outcome.error.message
    assert "notebook" in told.outcome.error.message
    assert not told.outcome.error.retryable


def test_code_by_reference_and_a_value_that_can_not_be_read(house, on_slot):
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

    fine, failed = on_slot(scenario)
    assert fine.value() == 2
    assert "the value `x` needs the module `no_such_library`" in failed.outcome.error.message


def test_async_phases_and_generators(house, on_slot):
    async def slow():
        await asyncio.sleep(0)
        return "async"

    def steps():
        yield 0.5
        yield "words"
        return "generated"

    async def scenario(slot):
        return [(await house.run(slot, agent)).value() for agent in (slow, steps)]

    assert on_slot(scenario) == ["async", "generated"]


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


def test_output_is_a_reference_only_where_it_must_be(house, on_slot):
    async def scenario(slot):
        small = await house.run(slot, lambda: "x" * 100, inline_bytes=1000)
        large = await house.run(slot, lambda: "x" * 2000, inline_bytes=1000)
        return small, large

    small, large = on_slot(scenario)
    assert not is_reference(small.outcome.output)
    assert is_reference(large.outcome.output)
    assert large.value() == "x" * 2000
