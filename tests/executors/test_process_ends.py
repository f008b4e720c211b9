"""How attempts and workers end: killed, crashed, cancelled in every way, with their children, with their host."""

import asyncio
import os
import signal
import sys
import threading
import time

import cloudpickle
import pytest

from phasenb.dto.phase_result import ResultStatus

from .processes import gone

cloudpickle.register_pickle_by_value(sys.modules[__name__])


async def started(house, slot, phase, values=None, **fields):
    """The run of a phase that has said "go"."""
    run = slot.run(house.attempt(phase, values, **fields))
    await asyncio.wait_for(house.until_message(run, "go"), 20)
    return run


async def stopped(house, run, grace_s):
    """(seconds that stop() took, the story)."""
    begun = time.monotonic()
    await run.stop(grace_s)
    took = time.monotonic() - begun
    return took, await house.follow(run)


def test_a_killed_worker_is_lost_and_another_one_takes_its_place(house, on_process):
    def phase(ctx):
        ctx.update(message="go")
        time.sleep(60)

    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        run = await started(house, slot, phase)
        os.kill(int(slot.worker.removeprefix("process-")), signal.SIGKILL)
        told = await house.follow(run)
        assert told.outcome.status is ResultStatus.LOST
        assert told.outcome.error.type == "phasenb.WorkerLost"
        assert told.outcome.error.retryable
        assert "SIGKILL" in told.outcome.error.message
        assert "`implementation`" in told.outcome.error.message
        assert not slot.alive
        lost_again = await house.run(slot, phase)
        assert lost_again.outcome.status is ResultStatus.LOST
        await slot.release()
        other = await executor.reserve("ada", None)
        assert (await house.run(other, lambda: 1)).value() == 1
        await other.release()

    on_process(scenario)


def cuts_its_line():
    os.closerange(3, 100)
    time.sleep(60)


def spoils_its_line():
    import orjson

    dumps = orjson.dumps
    orjson.dumps = lambda value, **options: dumps(value, **options)[:-1]


@pytest.mark.parametrize(
    ("phase", "reason"),
    [(cuts_its_line, "a phase closed its line to the host"), (spoils_its_line, "ended by its host: it sent")],
)
def test_a_worker_whose_line_to_the_host_a_phase_spoils_says_so(one, phase, reason):
    told = one(phase)
    assert told.outcome.status is ResultStatus.LOST
    assert reason in told.outcome.error.message


@pytest.mark.parametrize("pause_s", [0, 0.02])
def test_a_crash_in_native_code_leaves_its_last_words(house, on_process, pause_s):
    def phase(ctx):
        import ctypes

        ctx.log("begins")
        for _ in range(10):  # a worker that reads its pipe early, and sends later, would take the lines with it
            time.sleep(pause_s)
            print("about to crash")
        time.sleep(pause_s)
        ctypes.string_at(0)

    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        told = await house.run(slot, phase)
        assert told.outcome.status is ResultStatus.LOST
        assert "SIGSEGV" in told.outcome.error.message
        assert told.said("stdout") == ["about to crash"] * 10
        assert told.said("log") == ["begins"]
        assert any("Segmentation fault" in line for line in told.said("stderr"))
        await slot.release()

    on_process(scenario)


def test_a_worker_whose_other_thread_fails_is_lost_and_does_not_hang(house, on_process):
    def phase(ctx):
        def broken():
            raise ZeroDivisionError("in the other thread")

        ctx.flush = broken
        time.sleep(600)

    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        return await house.run(slot, phase)

    told = on_process(scenario)
    assert told.outcome.status == "lost"
    assert "ZeroDivisionError: in the other thread" in "\n".join(told.said("stderr"))


def test_a_phase_that_leaves_the_process_is_lost_with_its_exit_code(house, on_process):
    def phase():
        os._exit(3)

    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        told = await house.run(slot, phase)
        assert "exit code 3" in told.outcome.error.message

    on_process(scenario)


def cooperative(ctx):
    ctx.update(message="go")
    while not ctx.cancelled:
        time.sleep(0.005)
    ctx.log("tidied up")
    ctx.update(metrics={"done": 1})
    return "whatever"


def busy_python(ctx):
    ctx.update(message="go")
    while True:
        pass


def sleeping(ctx):
    ctx.update(message="go")
    try:
        time.sleep(60)
    finally:
        ctx.log("finally")


async def waiting(ctx):
    ctx.update(message="go")
    try:
        await asyncio.sleep(60)
    finally:
        ctx.log("finally")


@pytest.mark.parametrize(
    ("phase", "said"),
    [(cooperative, ["tidied up"]), (busy_python, []), (sleeping, ["finally"]), (waiting, ["finally"])],
)
def test_a_cancel_ends_what_python_can_end_within_the_grace(house, on_process, phase, said):
    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        run = await started(house, slot, phase)
        pid = int(slot.worker.removeprefix("process-"))
        took, told = await stopped(house, run, 20)
        assert took < 10
        assert told.outcome.status is ResultStatus.CANCELLED
        assert told.outcome.output is None
        assert told.said("log") == said
        assert gone(pid)
        assert not slot.alive
        await slot.release()

    on_process(scenario)


def c_loop(ctx):
    ctx.update(message="go")
    sum(range(10**15))  # one call of C that never looks at signals and keeps the interpreter


def stubborn(ctx):
    ctx.update(message="go")
    while True:
        try:
            time.sleep(60)
        except BaseException:
            ctx.log("no")


@pytest.mark.parametrize("phase", [c_loop, stubborn])
def test_after_the_grace_it_ends_by_force(house, on_process, phase):
    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        run = await started(house, slot, phase)
        took, told = await stopped(house, run, 1.0)
        assert 0.9 < took < 8
        assert told.outcome.status is ResultStatus.CANCELLED
        assert gone(int(slot.worker.removeprefix("process-")))
        await slot.release()

    on_process(scenario)


def test_stop_twice_and_with_less_patience(house, on_process):
    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        run = await started(house, slot, stubborn)
        begun = time.monotonic()
        patient = asyncio.create_task(run.stop(60))
        await asyncio.sleep(0)
        await run.stop(0)
        await patient
        assert time.monotonic() - begun < 10
        assert (await house.follow(run)).outcome.status is ResultStatus.CANCELLED
        await run.stop(5)
        await slot.release()

    on_process(scenario)


def test_a_cancel_while_the_code_is_still_loading(house, on_process):
    class Slow:
        def __reduce__(self):
            return time.sleep, (60,)

    import base64

    code = base64.b64encode(cloudpickle.dumps(Slow())).decode()

    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        run = slot.run(house.attempt(None, code=code))
        took, told = await stopped(house, run, 20)
        assert took < 10
        assert told.outcome.status is ResultStatus.CANCELLED
        await slot.release()

    on_process(scenario)


def test_a_result_that_comes_while_stopping_does_not_count_and_one_before_does(house, on_process):
    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        run = slot.run(house.attempt(lambda: 1))
        await house.until(lambda: run.finished)
        await run.stop(5)
        assert (await house.follow(run)).outcome.status is ResultStatus.COMPLETE
        assert slot.alive
        run = await started(house, slot, cooperative)
        _, told = await stopped(house, run, 10)
        assert told.outcome.status is ResultStatus.CANCELLED
        assert told.outcome.metrics == {"done": 1}
        await slot.release()

    on_process(scenario)


def leave_thread():
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def test_close_ends_what_runs(house, on_process):
    pids = []

    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        await started(house, slot, stubborn)
        other = await executor.reserve("ada", None)
        await house.run(other, leave_thread)
        await other.release()  # now a worker is being started in its place
        pids.extend(executor.pids)

    begun = time.monotonic()
    on_process(scenario)
    assert time.monotonic() - begun < 10
    assert pids
    assert all(map(gone, pids))


def test_what_a_phase_writes_into_the_hosts_line_costs_it_its_worker(house, on_process):
    def phase():
        import socket
        import stat

        for fd in range(3, 1024):
            try:
                if stat.S_ISSOCK(os.fstat(fd).st_mode):
                    socket.socket(fileno=os.dup(fd)).sendall(b"\xff" * 64)
            except OSError:
                continue
        time.sleep(60)

    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        told = await asyncio.wait_for(house.run(slot, phase), 20)
        assert told.outcome.status is ResultStatus.LOST
        await slot.release()

    on_process(scenario)
