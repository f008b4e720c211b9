"""What a host's workers have started ends with them, and they with their host, by their guardian."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time

import cloudpickle
import psutil
import pytest

from phasenb.core.reports import LogChunk, Outcome
from phasenb.dto.phase_result import ResultStatus
from phasenb.errors import WorkerLost
from phasenb.executors.worker_process import WorkerProcess

cloudpickle.register_pickle_by_value(sys.modules[__name__])


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def c_loop():
    sum(range(10**15))  # one call of C that never looks at signals and keeps the interpreter


def daemon():
    """The pid of a child that is no child any more, in a session of its own."""
    told = subprocess.run(
        ["sh", "-c", "setsid sh -c 'echo $$; exec sleep 1000 >/dev/null 2>&1' &"], stdout=subprocess.PIPE, text=True
    )
    return int(told.stdout)


def with_children(ctx):
    children = [
        subprocess.Popen(["sleep", "1000"]),
        subprocess.Popen(["sleep", "1000"], start_new_session=True),
        subprocess.Popen(["sh", "-c", "sleep 1000 & wait"], start_new_session=True),
    ]
    ctx.update(message="go", metrics={str(pid): 1 for pid in (daemon(), *(child.pid for child in children))})
    c_loop()


async def killed(house, slot, run):
    os.kill(int(slot.worker.removeprefix("process-")), signal.SIGKILL)
    assert (await house.follow(run)).outcome.status is ResultStatus.LOST


async def cancelled(house, slot, run):
    await run.stop(0.2)


@pytest.mark.parametrize("end", [cancelled, killed])
def test_children_die_too_also_in_sessions_of_their_own(house, on_process, end):
    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        run = slot.run(house.attempt(with_children))
        while True:
            step = await anext(run)
            if step.message == "go":
                break
        pids = [int(pid) for pid in step.metrics]
        assert len(pids) == 4
        pids += [child.pid for pid in pids for child in psutil.Process(pid).children()]
        assert not any(map(gone, pids))
        await end(house, slot, run)
        await house.until(lambda: all(map(gone, pids)))
        await slot.release()

    on_process(scenario)


def test_workers_end_when_their_host_is_silent(house, on_process):
    def endless(ctx):
        while True:
            time.sleep(0.05)

    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        run = slot.run(house.attempt(endless))
        executor._speaking.cancel()  # as if this process were frozen
        reports = [report async for report in run]
        assert reports[-1].status == "lost"

    on_process(scenario, silence_s=0.5)


def test_a_worker_lives_on_while_its_host_speaks_even_where_the_phase_holds_the_interpreter(house, on_process):
    def holds(ctx):
        import ctypes

        print("so far")
        ctypes.PyDLL(None).usleep(900_000)  # PyDLL keeps the GIL
        ctypes.PyDLL(None).usleep(900_000)
        return "alive"

    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        run = slot.run(house.attempt(holds))
        reports = [report async for report in run]
        assert isinstance(reports[-1], Outcome)
        assert reports[-1].output == "alive"
        assert any(isinstance(report, LogChunk) for report in reports)

    on_process(scenario, silence_s=0.5)


HOST = """
import asyncio, os, sys, time
import cloudpickle
from phasenb.agents.packing import code_json, pack
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.core.reports import Attempt
from phasenb.executors.process import ProcessExecutor

def quiet(ctx):
    import subprocess
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    ctx.update(metrics={"worker": os.getpid(), "child": child.pid})
    time.sleep(1000)

def busy(ctx):
    import subprocess
    children = [subprocess.Popen(["sleep", "1000"], start_new_session=new) for new in (False, True)]
    ctx.update(metrics={"worker": os.getpid(), **{str(child.pid): child.pid for child in children}})
    sum(range(10 ** 15))

async def main():
    executor = ProcessExecutor(1, silence_s=1.0 if sys.argv[3] == "frozen" else None)
    slot = await executor.reserve("ada", None)
    code = code_json(pack(ExtendedAgent.of(globals()[sys.argv[1]])))
    attempt = Attempt("t", "implementation", 1, "ada", None, code, {}, sys.argv[2])
    async for report in slot.run(attempt):
        print(executor._guardian._process.pid, *map(int, report.metrics.values()), flush=True)

asyncio.run(main())
"""


@contextlib.contextmanager
def host_of(phase, tmp_path, how):
    """A host that runs ``phase``, and the pids of its guardian, its worker and what that started."""
    script = tmp_path / "host.py"
    script.write_text(textwrap.dedent(HOST))
    words = [sys.executable, str(script), phase, str(tmp_path / "objects"), how]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as host:
        pids = [int(word) for word in host.stdout.readline().split()]
        assert len(pids) > 2
        assert not any(map(gone, pids))
        yield host, pids
        host.kill()


def all_gone(pids):
    deadline = time.monotonic() + 20
    while not all(map(gone, pids)):
        assert time.monotonic() < deadline, "a process of a dead host lives on"
        time.sleep(0.02)


@pytest.mark.parametrize("phase", ["quiet", "busy"])
def test_a_worker_does_not_outlive_its_host(tmp_path, phase):
    with host_of(phase, tmp_path, "killed") as (host, pids):
        host.kill()
        host.wait()
        all_gone(pids)


def test_a_worker_does_not_outlive_a_frozen_host_though_it_holds_the_interpreter(tmp_path):
    with host_of("busy", tmp_path, "frozen") as (host, (guardian, *pids)):
        host.send_signal(signal.SIGSTOP)
        all_gone(pids)
        assert not gone(guardian)
        host.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("phase", ["quiet", "busy"])
def test_a_worker_does_not_outlive_its_guardian(tmp_path, phase):
    with host_of(phase, tmp_path, "killed") as (host, (guardian, *pids)):
        os.kill(guardian, signal.SIGKILL)
        all_gone(pids)
        assert host.wait(20) == 0  # it heard of the worker's end


def test_a_worker_that_a_guardian_can_not_start_any_more_is_lost_and_no_wrong_launch(house, on_process):
    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        guardian = executor._guardian
        os.kill(guardian._process.pid, signal.SIGKILL)
        all_gone([guardian._process.pid])
        assert guardian.alive  # as far as this host has heard
        with pytest.raises(WorkerLost, match="could not be started"):
            await WorkerProcess.start(sys.executable, guardian)
        await slot.release()

    on_process(scenario)


def stubborn(ctx):
    ctx.update(message="go")
    while True:
        try:
            time.sleep(60)
        except BaseException:
            ctx.log("no")


def test_another_guardian_takes_the_place_of_one_that_was_killed(house, on_process):
    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        run = slot.run(house.attempt(stubborn))
        await house.until_message(run, "go")
        first = executor._guardian
        os.kill(first._process.pid, signal.SIGKILL)
        assert (await house.follow(run)).outcome.status is ResultStatus.LOST
        await slot.release()
        slot = await executor.reserve("ada", None)
        assert executor._guardian is not first
        assert (await house.run(slot, lambda: 1)).value() == 1
        await slot.release()

    on_process(scenario)
