"""Which worker runs a task: warm, bound, blank, retired, of another interpreter, or none."""

import asyncio
import contextlib
import os
import select
import subprocess
import sys
import sysconfig
import textwrap
import threading
from pathlib import Path
from platform import python_version

import cloudpickle
import pytest

import phasenb
from phasenb.config.machine import machine_id
from phasenb.dto.launch import Runtime
from phasenb.errors import LaunchError, RuntimeMismatch
from phasenb.executors import process

cloudpickle.register_pickle_by_value(sys.modules[__name__])


def runtime(cwd, **fields):
    defaults = {"python": python_version(), "executable": sys.executable, "cwd": str(cwd), "host": machine_id()}
    return Runtime(**{**defaults, **fields})


async def run_once(house, executor, agent, values=None, *, owner="ada", place=None, fresh=False, **fields):
    """(the worker's name, the story) of a task of one phase."""
    slot = executor.warm(owner, place, fresh=fresh) or await executor.reserve(owner, place, fresh=fresh)
    try:
        return slot.worker, await house.run(slot, agent, values, **fields)
    finally:
        await slot.release()


def leave_thread():
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def where():
    return str(Path.cwd())


def test_a_worker_is_used_again_by_the_same_launcher_only(house, on_process, tmp_path):
    async def scenario(executor):
        assert executor.warm("ada", None) is None
        first, _ = await run_once(house, executor, where)
        again, _ = await run_once(house, executor, where)
        assert again == first
        other_owner, _ = await run_once(house, executor, where, owner="bob")
        assert other_owner != first
        elsewhere, told = await run_once(house, executor, where, place=runtime(tmp_path))
        assert elsewhere not in (first, other_owner)
        assert told.value() == str(tmp_path)

    on_process(scenario, workers=4)


def test_a_fresh_worker_ran_nothing_before_and_runs_nothing_after(house, on_process):
    async def scenario(executor):
        used, _ = await run_once(house, executor, where)
        fresh, _ = await run_once(house, executor, where, fresh=True)
        another, _ = await run_once(house, executor, where, fresh=True)
        assert len({used, fresh, another}) == 3
        warm, _ = await run_once(house, executor, where)
        assert warm not in (fresh, another)

    on_process(scenario)


def test_a_task_that_wants_a_fresh_worker_takes_the_place_of_an_idle_one(house, on_process):
    async def scenario(executor):
        used, _ = await run_once(house, executor, where)
        fresh, _ = await run_once(house, executor, where, fresh=True)
        assert fresh != used

    on_process(scenario, workers=1)


def test_no_more_workers_than_allowed(house, on_process):
    async def scenario(executor):
        for owner in "abcdef":
            await run_once(house, executor, where, owner=owner)
        await house.until(lambda: len(executor.pids) <= 2)

    on_process(scenario, workers=2)


def test_a_blank_worker_waits_for_the_first_launch_of_any_directory(house, on_process, tmp_path):
    async def scenario(executor):
        await run_once(house, executor, leave_thread)  # another worker takes the place of this one
        place = runtime(tmp_path)
        slot = None
        async with asyncio.timeout(20):
            while (slot := executor.warm("bob", place)) is None:
                await asyncio.sleep(0.01)
        assert (await house.run(slot, where)).value() == str(tmp_path)
        await slot.release()
        await house.until(lambda: len(executor.pids) == 1)

    on_process(scenario)


def test_reserve_takes_the_worker_that_is_being_started(house, on_process):
    async def scenario(executor):
        await run_once(house, executor, leave_thread)
        slot = await executor.reserve("ada", None)
        await house.until(lambda: len(executor.pids) == 1)
        await slot.release()

    on_process(scenario)


def test_a_worker_whose_launch_is_cancelled_at_the_last_moment_is_the_next_ones(house, on_process, monkeypatch):
    looking, go_on = threading.Event(), threading.Event()

    def slow(place):
        looking.set()
        go_on.wait(30)

    async def scenario(executor):
        with monkeypatch.context() as patched:
            patched.setattr(process, "_missing", slow)
            waiting = asyncio.create_task(executor.reserve("ada", None))
            await house.until(looking.is_set)
            waiting.cancel()
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        (pid,) = executor.pids
        slot = await executor.reserve("ada", None)
        assert (slot.worker, executor.pids) == (f"process-{pid}", [pid])
        await slot.release()

    on_process(scenario, workers=1)


def test_idle_workers_go_after_a_while(house, on_process):
    async def scenario(executor):
        await run_once(house, executor, where)
        await house.until(lambda: not executor.pids)

    on_process(scenario, idle_s=0.05)


def test_an_edited_module_is_seen_anew_and_relative_paths_work(house, on_process, tmp_path):
    (tmp_path / "data.txt").write_text("rows")
    library = tmp_path / "lib"
    library.mkdir()
    (library / "deep_helpers.py").write_text("DEEP = 1\n")

    def phase():
        import deep_helpers
        import helpers

        with Path("data.txt").open() as file:
            return [helpers.answer(), deep_helpers.DEEP, file.read()]

    async def scenario(executor):
        place = runtime(tmp_path, sys_path=(str(tmp_path), str(library)))
        (tmp_path / "helpers.py").write_text("def answer():\n    return 1\n")
        first, told = await run_once(house, executor, phase, place=place)
        assert told.value() == [1, 1, "rows"]
        (tmp_path / "helpers.py").write_text("def answer():\n    return 'edited'\n")
        second, told = await run_once(house, executor, phase, place=place)
        assert told.value() == ["edited", 1, "rows"]
        assert second != first

    on_process(scenario)


def test_a_launchers_own_random_py_does_not_break_the_worker(house, on_process, tmp_path):
    (tmp_path / "random.py").write_text("raise RuntimeError('mine')\n")
    (tmp_path / "selectors.py").write_text("raise RuntimeError('mine')\n")

    async def scenario(executor):
        place = runtime(tmp_path, sys_path=(str(tmp_path),))
        _, told = await run_once(house, executor, where, place=place)
        assert told.value() == str(tmp_path)

    on_process(scenario)


def leave_child():
    subprocess.Popen(["sleep", "1000"])


def leave_orphan():
    subprocess.run(["sh", "-c", "setsid sleep 1000 &"])


def close_stdout():
    sys.stdout.close()


@pytest.mark.parametrize("phase", [leave_thread, leave_child, leave_orphan, close_stdout])
def test_what_can_not_be_undone_retires_the_worker(house, on_process, phase):
    async def scenario(executor):
        first, _ = await run_once(house, executor, phase)
        second, told = await run_once(house, executor, lambda: print("heard"))
        assert told.said("stdout") == ["heard"]
        assert second != first

    on_process(scenario)


def test_a_child_that_ended_and_that_nobody_waited_for_retires_no_worker(house, on_process):
    def leave():
        child = subprocess.Popen(["true"])
        orphan = subprocess.run(["sh", "-c", "sleep 0 & echo $!"], stdout=subprocess.PIPE, text=True)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError):
            select.select([os.pidfd_open(int(orphan.stdout))], [], [])

    async def scenario(executor):
        first, told = await run_once(house, executor, leave)
        assert told.outcome.error is None
        second, _ = await run_once(house, executor, lambda: 1)
        assert second == first

    on_process(scenario)


def test_what_can_be_undone_is_undone(house, on_process, tmp_path):
    def change():
        os.chdir("/")
        os.environ["MINE"] = "1"
        sys.path.insert(0, "/mine")
        import io
        import signal

        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stdout = io.StringIO()

    def look():
        print("heard")
        return [str(Path.cwd()), os.environ.get("MINE"), "/mine" in sys.path]

    async def scenario(executor):
        place = runtime(tmp_path)
        first, _ = await run_once(house, executor, change, place=place)
        second, told = await run_once(house, executor, look, place=place)
        assert first == second
        assert told.value() == [str(tmp_path), None, False]
        assert told.said("stdout") == ["heard"]

    on_process(scenario)


def test_an_attempt_sees_nothing_of_the_code_of_the_one_before(house, on_process):
    def count(seen=[]):  # noqa: B006
        seen.append(1)
        return len(seen)

    async def scenario(executor):
        attempt = house.attempt(count)
        found = []
        for _ in range(2):
            slot = await executor.reserve("ada", None)
            found += [(await house.follow(slot.run(attempt))).value() for _ in range(2)]
            await slot.release()
        assert found == [1, 1, 1, 1]
        assert len(executor.pids) == 1

    on_process(scenario)


def test_a_package_that_is_installed_meanwhile_retires_idle_workers(house, on_process):
    async def scenario(executor):
        first, _ = await run_once(house, executor, where)
        [worker] = executor._idle
        worker.site = {path: at - 1 for path, at in worker.site.items()}  # as if its time had changed since
        assert executor.warm("ada", None) is None
        second, _ = await run_once(house, executor, where)
        assert second != first

    on_process(scenario)


# --- other interpreters ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other_python(tmp_path_factory):
    """A virtual environment with a package of its own, that finds phasenb and its dependencies here."""
    folder = tmp_path_factory.mktemp("other")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    site = Path(
        subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"], text=True
        ).strip()
    )
    (site / "only_there.py").write_text("WHO = 'only there'\n")
    (site / "__pycache__").mkdir(exist_ok=True)  # as pip leaves it: one that is made later is a change of the folder
    here = [sysconfig.get_paths()["purelib"], str(Path(phasenb.__file__).parents[1])]
    (site / "here.pth").write_text("\n".join(here))
    return python


def test_a_launch_runs_in_its_own_environment(house, on_process, other_python, tmp_path):
    def phase():
        import only_there

        return [only_there.WHO, sys.executable]

    async def scenario(executor):
        place = runtime(tmp_path, executable=str(other_python))
        first, told = await run_once(house, executor, phase, place=place)
        assert told.value() == ["only there", str(other_python)]
        second, _ = await run_once(house, executor, phase, place=place)
        assert second == first, "installed modules do not retire a worker"
        _, told = await run_once(house, executor, phase)
        assert "No module named 'only_there'" in told.outcome.error.message

    on_process(scenario)


def test_an_environment_without_phasenb_says_what_to_do(house, on_process, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    place = runtime(tmp_path, executable=str(tmp_path / "bare/bin/python"))

    async def scenario(executor):
        with pytest.raises(LaunchError, match="bin/python -m pip install phasenb"):
            await executor.reserve("ada", place)
        assert executor.warm("ada", place) is None

    on_process(scenario)


def test_an_interpreter_or_directory_that_is_gone(house, on_process, tmp_path):
    async def scenario(executor):
        with pytest.raises(LaunchError, match="/nowhere/python"):
            await executor.reserve("ada", runtime(tmp_path, executable="/nowhere/python"))
        with pytest.raises(LaunchError, match="/nowhere/notebooks, where this launch comes from, is not there"):
            await executor.reserve("ada", runtime("/nowhere/notebooks"))
        assert executor.warm("ada", runtime("/nowhere/notebooks")) is None
        with pytest.raises(LaunchError, match="bin/false"):
            await executor.reserve("ada", runtime(tmp_path, executable="/bin/false"))
        worker, _ = await run_once(house, executor, where)
        assert worker

    on_process(scenario)


def test_a_worker_that_breaks_at_its_start_tells_its_last_line(on_process, tmp_path, other_python):
    wrapper = tmp_path / "python"
    wrapper.write_text("#!/bin/sh\necho noise >&2\necho 'the licence has expired' >&2\nexit 7\n")
    wrapper.chmod(0o755)

    async def scenario(executor):
        with pytest.raises(LaunchError, match=r"exit code 7.*the licence has expired"):
            await executor.reserve("ada", runtime(tmp_path, executable=str(wrapper)))

    on_process(scenario)


def test_another_release_with_another_worker_protocol(on_process, tmp_path):
    wrapper = tmp_path / "python"
    wrapper.write_text(
        f"#!{sys.executable}\n"
        + textwrap.dedent(
            """
            import socket, sys, time
            from phasenb.executors.frames import frame
            line = socket.socket(fileno=int(sys.argv[4]))
            line.sendall(frame({"type": "hello", "protocol": 99, "python": "3.11.7", "pid": 1}))
            time.sleep(60)
            """
        )
    )
    wrapper.chmod(0o755)

    async def scenario(executor):
        with pytest.raises(RuntimeMismatch, match="install the same release of phasenb"):
            await executor.reserve("ada", runtime(tmp_path, executable=str(wrapper)))
        assert executor.pids == []

    on_process(scenario)


def test_another_minor_version_of_python(house, on_process, tmp_path):
    async def scenario(executor):
        with pytest.raises(RuntimeMismatch, match=r"Python 3\.8\.1"):
            await executor.reserve("ada", runtime(tmp_path, python="3.8.1"))
        far = runtime("/somewhere/else", python="3.8.1", host="another machine", executable="/their/python")
        slot = await executor.reserve("ada", far)
        told = await house.run(slot, where)
        assert told.outcome.error.type == "phasenb.RuntimeMismatch"
        assert not told.outcome.error.retryable
        registered = await house.run(slot, None, {"text": " x"}, agent="textwrap:dedent")
        assert registered.value() == "x"
        await slot.release()
        with pytest.raises(RuntimeMismatch):
            await executor.describe("ada", far, None, house.attempt(where).code, house.url)

    on_process(scenario)


def test_a_launcher_on_another_machine_gets_the_servers_interpreter(house, on_process):
    async def scenario(executor):
        far = runtime("/somewhere/else", host="another machine", executable="/their/python")
        _, told = await run_once(house, executor, lambda: sys.executable, place=far)
        assert told.value() == sys.executable

    on_process(scenario)


def test_this_machine_is_the_same_for_every_process():
    command = "from phasenb.config.machine import machine_id; print(machine_id())"
    assert subprocess.check_output([sys.executable, "-c", command], text=True).strip() == machine_id()
    assert len(machine_id()) == 32
