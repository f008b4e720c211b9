"""What a host's workers have started ends with them, and they with their host, by their guardian."""

import asyncio
import contextlib
import gc
import os
import platform
import select
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import cloudpickle
import psutil
import pytest

from phasenb.config.machine import machine_id
from phasenb.core.reports import LogChunk, Outcome
from phasenb.dto.launch import Runtime
from phasenb.dto.phase_result import ResultStatus
from phasenb.errors import LaunchError, WorkerLost
from phasenb.executors import guardian_process
from phasenb.executors.guardian import WORD, Silence
from phasenb.executors.worker_process import WorkerProcess

from .processes import gone

cloudpickle.register_pickle_by_value(sys.modules[__name__])


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
        slot._worker._guardian._speaking.cancel()  # as if this process were frozen
        reports = [report async for report in run]
        assert reports[-1].status == "lost"

    on_process(scenario, silence_s=0.5)


def test_a_worker_lives_on_while_its_host_speaks_even_where_the_phase_holds_the_interpreter(house, on_process):
    def holds(ctx):
        import ctypes

        print("so far")
        ctypes.PyDLL(None).usleep(900_000)  # PyDLL keeps the GIL
        ctypes.PyDLL(None).usleep(900_000)
        ctypes.PyDLL(None).usleep(900_000)
        return "alive"

    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        run = slot.run(house.attempt(holds))
        reports = [report async for report in run]
        assert isinstance(reports[-1], Outcome)
        assert reports[-1].output == "alive"
        assert any(isinstance(report, LogChunk) for report in reports)

    on_process(scenario, silence_s=2.0)


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
        print(slot._worker._guardian._process.pid, *map(int, report.metrics.values()), flush=True)

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
    with host_of("busy", tmp_path, "frozen") as (host, pids):
        host.send_signal(signal.SIGSTOP)
        all_gone(pids)
        host.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("phase", ["quiet", "busy"])
def test_a_worker_does_not_outlive_its_guardian(tmp_path, phase):
    with host_of(phase, tmp_path, "killed") as (host, (guardian, *pids)):
        os.kill(guardian, signal.SIGKILL)
        all_gone(pids)
        assert host.wait(20) == 0  # it heard of the worker's end


def test_a_start_whose_guardian_is_killed_is_lost_and_no_wrong_launch(on_process, tmp_path):
    kills = tmp_path / "kills"
    kills.write_text("#!/bin/sh\nkill -9 $PPID\n")
    kills.chmod(0o700)

    async def scenario(executor):
        with pytest.raises(WorkerLost, match="killed"):
            await WorkerProcess.start(str(kills))

    on_process(scenario)


def test_a_guardian_that_is_killed_takes_its_own_worker_along_and_no_other(house, on_process):
    async def scenario(executor):
        slots = [await executor.reserve("ada", None) for _ in range(2)]
        runs = [slot.run(house.attempt(stubborn)) for slot in slots]
        for run in runs:
            await house.until_message(run, "go")
        os.kill(slots[0]._worker._guardian._process.pid, signal.SIGKILL)
        assert (await house.follow(runs[0])).outcome.status is ResultStatus.LOST
        assert slots[1].alive
        await runs[1].stop(0)
        for slot in slots:
            await slot.release()

    on_process(scenario)


def test_a_guardian_that_makes_no_progress_holds_up_nobody(house, on_process, monkeypatch):
    monkeypatch.setattr(guardian_process, "END_S", 0.1)

    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        worker = slot._worker
        os.kill(worker._guardian._process.pid, signal.SIGSTOP)
        await worker.kill()
        await house.until(lambda: gone(worker.pid))
        await slot.release()

    on_process(scenario)


def stubborn(ctx):
    ctx.update(message="go")
    while True:
        try:
            time.sleep(60)
        except BaseException:
            ctx.log("no")


def with_orphans(ctx):
    for _ in range(20):
        told = subprocess.run(["sh", "-c", "sleep 0 & echo $!"], stdout=subprocess.PIPE, text=True)
        with contextlib.suppress(ProcessLookupError):
            select.select([os.pidfd_open(int(told.stdout))], [], [])
    own = subprocess.Popen(["true"])
    return [os.wait()[0] == own.pid, len(psutil.Process().children())]


def test_what_a_phase_waits_for_are_its_own_children(house, on_slot):
    async def scenario(slot):
        assert (await house.run(slot, with_orphans)).value() == [True, 0]

    on_slot(scenario)


def lines(pid):
    links = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # what the folder itself is read with
            links.add(str(link.readlink()))
    return {link for link in links if link.startswith(("socket:", "pipe:"))}


def test_workers_that_start_side_by_side_share_no_descriptor(on_process):
    async def scenario(executor):
        slots = await asyncio.gather(*(executor.reserve(owner, None) for owner in ("ada", "eve", "joe")))
        held = [lines(slot._worker.pid) for slot in slots]
        assert all(held)
        assert sum(map(len, held)) == len(set.union(*held))
        for slot in slots:
            await slot.release()

    on_process(scenario, workers=3)


def test_a_large_environment_loses_no_start(on_process, monkeypatch):
    for number in range(5):
        monkeypatch.setenv(f"LARGE_{number}", "x" * 100_000)

    async def scenario(executor):
        slots = await asyncio.gather(*(executor.reserve("ada", None) for _ in range(6)))
        assert all(slot.alive for slot in slots)
        for slot in slots:
            await slot.release()

    on_process(scenario, workers=6)


@pytest.mark.parametrize("executable", ["x\0\0y", "x\0y", "", "/not/there", "\ud800", os.devnull])
def test_what_can_not_be_started_is_a_wrong_launch_and_harms_nobody_else(house, on_process, executable):
    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        place = Runtime.model_construct(
            python=platform.python_version(), executable=executable, cwd="/", sys_path=(), host=machine_id()
        )
        with pytest.raises(LaunchError, match="can't be started"):
            await executor.reserve("eve", place)
        assert (await house.run(slot, lambda: 1)).value() == 1
        await slot.release()

    on_process(scenario)


@pytest.mark.parametrize("turns", [*range(12), "guardian"])
def test_a_start_that_nobody_waits_for_any_more_leaves_nothing(house, on_process, turns):
    async def scenario(executor):
        await asyncio.create_subprocess_exec("true")  # what a loop opens once for all of them
        await house.until(lambda: not psutil.Process().children())
        held = lines(os.getpid())
        starting = asyncio.create_task(WorkerProcess.start(sys.executable))
        if turns == "guardian":
            await house.until(lambda: psutil.Process().children())
        else:
            for _ in range(turns):
                await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await house.until(lambda: not psutil.Process().children(recursive=True) and lines(os.getpid()) == held)

    on_process(scenario)


@pytest.mark.parametrize("kill", [False, True])
def test_a_start_that_nobody_waits_for_any_more_says_nothing(on_process, kill):
    """Of every moment of a start: what asyncio would write to stderr of futures and tasks that nobody asked."""
    told = []

    async def scenario(executor):
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        began = time.monotonic()
        await (await executor.reserve("joe", None)).release()
        took_s = time.monotonic() - began
        for step in range(10):
            starts = [asyncio.create_task(executor.reserve(owner, None)) for owner in ("ada", "eve")]
            await asyncio.wait(starts, timeout=took_s * step / 8)
            if kill:
                for child in psutil.Process().children():
                    child.kill()
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            del starts
        await executor.close()
        gc.collect()

    on_process(scenario)
    gc.collect()
    assert told == []


def silence_of(*words, limit_s=5.0):
    silence = Silence(limit_s, 100.0)
    silence.hear(b"".join(map(WORD.pack, words)))
    return silence


def test_a_host_that_speaks_in_time_is_not_silent_though_it_is_heard_late():
    silence = silence_of(101.0, 105.0, 109.0)
    silence.look(113.9)
    assert not silence.too_long
    assert silence.left_s(112.0) == 2.0


def test_a_host_that_speaks_no_more_is_silent():
    silence = silence_of(101.0)
    silence.look(106.0)
    assert silence.too_long
    assert silence.left_s(107.0) == 0.0


def test_a_host_that_was_frozen_with_its_guardian_was_silent_though_it_speaks_first_when_they_thaw():
    silence = silence_of(101.0, 102.0, 160.0)
    silence.look(160.1)
    assert silence.too_long


def test_a_word_that_comes_in_pieces_is_heard():
    silence = silence_of()
    for byte in WORD.pack(104.0):
        silence.hear(bytes([byte]))
    silence.look(108.0)
    assert not silence.too_long


def test_a_host_that_need_not_speak_is_never_silent():
    silence = silence_of(limit_s=float("inf"))
    silence.look(1e9)
    assert not silence.too_long
