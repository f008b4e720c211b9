"""A worker that SIGKILL ended: what the system counted of it, and what is said of it."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from phasenb.core.memory_kills import MemoryFigures
from phasenb.executors import memory
from phasenb.executors.memory import WorkerMemory

TOTAL = psutil.virtual_memory().total


@pytest.fixture
def cgroups(tmp_path, monkeypatch):
    """A tree of cgroups as a container sees it: the mounts begin at its own."""
    root = tmp_path / "cgroup"
    (root / "memory").mkdir(parents=True)
    monkeypatch.setattr(memory, "CGROUPS", root)
    return root


def count(cgroups, kills):
    (cgroups / "memory.events").write_text(f"low 0\nhigh 0\nmax 9\noom 1\noom_kill {kills}\noom_group_kill 0\n")
    (cgroups / "memory/memory.oom_control").write_text(f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n")


def test_kills_count_from_an_attempts_beginning_on_and_the_smallest_limit_is_the_limit(cgroups):
    count(cgroups, 3)
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        (cgroups / name).write_text("1000000\n")
    worker = WorkerMemory(os.getpid())
    count(cgroups, 4)
    worker.begin()
    assert worker.figures(900_000) == MemoryFigures(0, 900_000, 1_000_000)
    count(cgroups, 5)
    assert worker.figures(0) == MemoryFigures(1, None, 1_000_000)


def test_a_group_below_the_mount_is_found_with_the_limits_above_it(cgroups, monkeypatch):
    group = cgroups / "user.slice/jupyter"
    group.mkdir(parents=True)
    (group / "memory.events").write_text("oom_kill 1\n")
    (group / "memory.max").write_text("max\n")
    (cgroups / "user.slice/memory.max").write_text("2000000\n")
    read = memory._text
    monkeypatch.setattr(memory, "_text", lambda file: told if file == asked else read(file))
    asked, told = Path("/proc/7/cgroup"), "1:name=systemd:/x\n0::/user.slice/jupyter\n"
    assert WorkerMemory(7).figures(1) == MemoryFigures(0, 1, 2_000_000)


def test_where_nobody_counts_the_peak_is_all_there_is(cgroups):
    assert WorkerMemory(os.getpid()).figures(5) == MemoryFigures(None, 5, TOTAL)


@pytest.mark.parametrize("kills", [0, 1])
def test_a_lost_worker_ran_out_of_memory_only_where_the_system_counted_it(house, on_process, cgroups, kills):
    count(cgroups, 0)
    files = [cgroups / "memory.events", cgroups / "memory/memory.oom_control"]

    def phase():
        memory = bytearray(TOTAL // 20)
        memory[::4096] = b"x" * len(memory[::4096])
        if kills:
            for file in files:
                file.write_text(file.read_text().replace("oom_kill 0", "oom_kill 1"))
        os.kill(os.getpid(), signal.SIGKILL)

    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        error = (await house.run(slot, phase)).outcome.error
        await slot.release()
        assert error.type == ("phasenb.OutOfMemory" if kills else "phasenb.WorkerLost")
        assert "phasenb.WorkerLost" in error.bases
        assert ("memory ran out: it held" in error.message) is bool(kills)
        assert ("no sign of memory that ran out (it held" in error.message) is not bool(kills)

    on_process(scenario)
