"""Children that a phase forks: their lines and the phase's are all in its log, and nobody hangs or dies of it."""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cloudpickle
import pytest

cloudpickle.register_pickle_by_value(sys.modules[__name__])

CHILDREN, LINES, OWN = 4, 200, 2000


def forks_while_it_prints():
    """As forks go: by hand, beside a phase that writes as fast as it can."""
    pids = []
    for child in range(CHILDREN):
        pid = os.fork()
        if pid == 0:
            for line in range(LINES):
                logging.warning("child %d line %d", child, line)
            os._exit(0)
        pids.append(pid)
    for line in range(OWN):
        print("own line", line)
    return [os.waitpid(pid, 0)[1] for pid in pids]


def test_no_line_is_lost_where_children_log_and_the_phase_prints(house, on_slot):
    async def scenario(slot):
        for _ in range(3):
            told = await house.run(slot, forks_while_it_prints, log_bytes=10**7)
            assert told.value() == [0] * CHILDREN
            assert told.said("stdout") == [f"own line {line}" for line in range(OWN)]
            for child in range(CHILDREN):
                told_by = [text for text in told.said("stderr") if f"child {child} " in text]
                assert told_by == [f"WARNING root: child {child} line {line}" for line in range(LINES)]
            assert len(told.lines) == OWN + CHILDREN * LINES

    on_slot(scenario)


def forks_under_load(rounds):
    """Other threads hold the locks of logging, of the streams and of the worker at each fork, as often as not."""
    done = threading.Event()

    def busy(number):
        line = 0
        while not done.is_set():
            logging.info("thread %d line %d", number, line)
            sys.stdout.write(f"thread {number} line {line}\n")  # print() writes a line's end by itself
            line += 1
            done.wait(0.001)

    threads = [threading.Thread(target=busy, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    statuses = []
    for number in range(rounds):
        pid = os.fork()
        if pid == 0:
            logging.warning("logged by child %d", number)
            print("printed by child", number)
            warnings.warn(f"warned by child {number}", stacklevel=1)
            sys.exit(7)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    done.set()
    for thread in threads:
        thread.join()
    return statuses


def test_forks_while_threads_log_and_print(house, on_slot):
    rounds = 40

    async def scenario(slot):
        told = await house.run(slot, forks_under_load, {"rounds": rounds}, log_bytes=10**8)
        assert told.value() == [7] * rounds
        texts = [text for _, text in told.lines]
        for number in range(rounds):
            assert texts.count(f"WARNING root: logged by child {number}") == 1
            assert texts.count(f"printed by child {number}") == 1
            assert sum(f"warned by child {number} (" in text for text in texts) == 1
        assert (await house.run(slot, lambda: "still there")).value() == "still there"

    on_slot(scenario)


def forks_while_threads_hold_the_streams(children, lines):
    """Each child tells much, beside threads of its parent that log without a pause: it finds their locks taken."""
    logging.basicConfig(level="INFO", format="%(levelname)s %(message)s", force=True)  # to sys.stderr
    done = threading.Event()

    def busy(write):
        while not done.is_set():
            write("thread\n")

    writes = (logging.info, sys.stderr.write, sys.stdout.write)
    threads = [threading.Thread(target=busy, args=(write,)) for write in writes]
    for thread in threads:
        thread.start()
    sys.setswitchinterval(1e-6)  # as on a busy machine: another thread has its turn between any two steps of a fork
    context = multiprocessing.get_context("fork")
    codes = []
    for first in range(0, children, 10):
        started = [context.Process(target=tells, args=(first + number, lines)) for number in range(10)]
        for child in started:
            child.start()
        for child in started:
            child.join(20)
            codes.append(child.exitcode)
            child.kill()  # where it hangs: the phase is to end
    sys.setswitchinterval(0.005)
    done.set()
    for thread in threads:
        thread.join()
    return codes


def tells(number, lines):
    for line in range(lines):
        logging.warning("logged %d/%d", number, line)
        print("printed", f"{number}/{line}")


def test_no_child_hangs_where_its_parents_threads_write(house, on_slot):
    children, lines = 60, 3

    async def scenario(slot):
        inputs = {"children": children, "lines": lines}
        told = await house.run(slot, forks_while_threads_hold_the_streams, inputs, log_bytes=10**8)
        assert told.value() == [0] * children
        texts = set(told.said("stderr"))
        printed = "\n".join(told.said("stdout"))
        for number in range(children):
            for line in range(lines):
                assert f"WARNING logged {number}/{line}" in texts
                assert f"printed {number}/{line}" in printed

    on_slot(scenario)


WRITES = """
import logging, warnings
logging.getLogger("lab").warning("logged %d", {number})
warnings.warn("warned {number}")
print("printed", {number})
"""
JOBS = [WRITES.format(number=number) for number in range(8)]


def pool():
    with multiprocessing.get_context("fork").Pool(2) as workers:
        return workers.map(exec, JOBS)


def executor_of_processes():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as workers:
        return list(workers.map(exec, JOBS))


def joblib_pool():
    from joblib import Parallel, delayed

    return Parallel(n_jobs=2, backend="multiprocessing")(delayed(exec)(job) for job in JOBS)


@pytest.mark.parametrize("phase", [pool, executor_of_processes, joblib_pool])
def test_what_children_of_a_pool_write_is_in_the_log(house, on_slot, phase):
    async def scenario(slot):
        for _ in range(2):
            told = await house.run(slot, phase)
            assert told.outcome.error is None
            assert told.value() == [None] * 8
            texts = [text for _, text in told.lines]
            for number in range(8):
                assert texts.count(f"WARNING lab: logged {number}") == 1
                assert texts.count(f"printed {number}") == 1
                assert sum(f"warned {number} (" in text for text in texts) == 1

    on_slot(scenario)


def shares_by_ctx(ctx):
    ctx.update(0.1, "parent")
    pid = os.fork()
    if pid == 0:
        ctx.log("logged by the child")
        ctx.update(0.9, "child")
        raise ValueError("the child's own")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_has_the_phases_log_and_not_its_outcome(one):
    told = one(shares_by_ctx)
    assert told.value() == 1
    assert told.said("stderr")[0] == "logged by the child"
    assert told.said("stderr")[-1] == "ValueError: the child's own"
    assert "child" not in [step.message for step in told.steps]


def open_descriptors(path):
    pid = os.fork()
    if pid == 0:
        links = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        kinds = sorted(link.split(":")[0] for link in links)
        handlers = [signal.getsignal(signal.SIGINT) is signal.default_int_handler]
        told = subprocess.run(["grep", "SigCgt", f"/proc/{os.getpid()}/status"], capture_output=True, text=True).stdout
        caught = int(told.split()[1], 16) >> (signal.SIGHUP - 1) & 1
        Path(path).write_text(repr((kinds.count("socket"), kinds.count("pipe"), handlers, caught)))
        os._exit(0)
    os.waitpid(pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_child_has_nothing_of_its_workers_but_its_output(one, tmp_path):
    one(open_descriptors, {"path": str(tmp_path / "told")})
    assert (tmp_path / "told").read_text() == "(0, 2, [True], 0)"


def inherits_by_a_tracker():
    from multiprocessing import shared_memory

    block = shared_memory.SharedMemory(create=True, size=16)  # starts the tracker, which lives as long as the worker
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=print, args=("spawned",))
    child.start()
    child.join()
    block.close()
    block.unlink()
    pid = os.fork()
    if pid == 0:
        print("forked")
        return None
    return child.exitcode, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_children_beside_a_tracker_of_resources(house, on_process):
    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        told = await house.run(slot, inherits_by_a_tracker)
        assert tuple(told.value()) == (0, 0)
        assert sorted(told.said("stdout")) == ["forked", "spawned"]
        await slot.release()
        other = await executor.reserve("ada", None)
        assert (await house.run(other, lambda: 1)).value() == 1
        await other.release()

    on_process(scenario)


def forks_in_a_thread_of_the_notebook(ctx):
    pid = os.fork()
    if pid == 0:
        print("printed by the child")
        ctx.log("logged by the child")
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def test_an_inline_phases_child_does_not_hang(house, on_inline, capfd):
    async def scenario(executor):
        for _ in range(20):
            slot = await executor.reserve("ada", None)
            assert (await house.run(slot, forks_in_a_thread_of_the_notebook)).value() == 0
            await slot.release()

    on_inline(scenario)
    told = capfd.readouterr()
    assert told.out.splitlines() == ["printed by the child"] * 20
    assert told.err.splitlines() == ["logged by the child"] * 20
