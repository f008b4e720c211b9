"""Two hosts on one store: each steers and shows the other's tasks; one that was frozen or killed loses its tasks, and
no attempt ever runs twice at once.
"""

import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import psutil
import pytest

from phasenb.core.task_schema import fold
from phasenb.dto.events import parse_event
from phasenb.executors.process_run import FROZEN
from tests.crash.steady_host import LEASE_S

HOST = Path(__file__).with_name("steady_host.py")
PATIENCE_S = 30.0


class Process:
    """One host, told what to do line by line."""

    def __init__(self, folder, name, *words):
        self.folder = folder
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, HOST, folder, name, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / f"{name}.err").open("w"),
            text=True,
        )
        assert self.answer() == "ready"

    def answer(self):
        return self.process.stdout.readline().strip()

    def does(self, words):
        self.begins(words)
        return self.answer()

    def begins(self, words):
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()

    def told(self):
        return (self.folder / f"{self.name}.told").read_text().split("\n")[:-1]

    def end(self):
        """Its host id at the end."""
        self.process.stdin.close()
        last = self.answer()
        assert self.process.wait(30) == 0, (self.folder / f"{self.name}.err").read_text()
        return last.removeprefix("was ")


@pytest.fixture
def hosts(tmp_path):
    started = []

    def start(name, *words):
        started.append(Process(tmp_path, name, *words))
        return started[-1]

    yield start
    for host in started:
        if host.process.poll() is None:
            host.process.send_signal(signal.SIGCONT)
            host.process.kill()
            host.process.wait()


def until(holds):
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.01)


def log_of(folder):
    with sqlite3.connect(folder / "store.db") as connection:
        return [parse_event(body) for (body,) in connection.execute("SELECT body FROM events ORDER BY seq")]


def state_of(folder):
    return fold(log_of(folder)).state


def stored(folder):
    return [f"{event.seq} {event.type}" for event in log_of(folder)]


def runs(folder):
    """{(phase, pid): (first, last)}: when a phase was seen running, on the machine's monotonic clock."""
    times = defaultdict(list)
    path = folder / "runs.txt"
    for line in path.read_text().split("\n")[:-1] if path.exists() else ():
        phase, pid, _, at = line.split()
        times[phase, pid].append(float(at))
    return {key: (min(found), max(found)) for key, found in times.items()}


def started(folder, phase, times=1):
    return sum(name == phase for name, _ in runs(folder)) >= times


def test_commands_and_events_go_to_either_host(tmp_path, hosts):
    one, two = hosts("one"), hosts("two")
    assert one.does("launch gated").startswith("ok")
    until(lambda: started(tmp_path, "planning"))
    assert two.does("pause") == "ok paused"
    assert two.does("resume") == "ok running"
    (tmp_path / "go on").touch()
    until(lambda: state_of(tmp_path) == "awaiting_approval")
    assert two.does("approve").startswith("ok")
    assert one.does("approve").startswith("ok"), "the same answer holds already"
    assert one.does("deny").startswith("Conflict")
    until(lambda: state_of(tmp_path) == "completed")
    until(lambda: one.told() == two.told() == stored(tmp_path))
    assert [event.seq for event in log_of(tmp_path)] == list(range(1, len(log_of(tmp_path)) + 1))
    one.end(), two.end()


def test_a_cancel_given_to_the_other_host_ends_the_phase(tmp_path, hosts):
    one, two = hosts("one"), hosts("two")
    one.does("launch plain")
    until(lambda: started(tmp_path, "planning"))
    assert two.does("cancel") == "ok cancelling"
    until(lambda: state_of(tmp_path) == "cancelled")
    until(lambda: one.told() == two.told() == stored(tmp_path))


def test_a_frozen_host_loses_its_task_and_no_attempt_runs_twice_at_once(tmp_path, hosts):
    one, two = hosts("one"), hosts("two")
    one.does("launch plain")
    until(lambda: started(tmp_path, "planning"))
    one.process.send_signal(signal.SIGSTOP)
    until(lambda: started(tmp_path, "planning", times=2))
    (first, last), (again, _) = sorted(span for (phase, _), span in runs(tmp_path).items() if phase == "planning")
    assert first < last < again, "the frozen host's worker still ran when the other host's began"
    one.process.send_signal(signal.SIGCONT)
    (tmp_path / "go on").touch()
    until(lambda: state_of(tmp_path) == "completed")
    assert one.end() != "one", "it was taken for dead and goes on as a new host"
    two.end()
    events = log_of(tmp_path)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.type for event in events].count("task_recovered") == 1
    assert [event.phase for event in events if event.type == "phase_complete"] == [
        "research",
        "planning",
        "implementation",
    ]


def went_on_as_if_nothing_was(folder):
    """Whether the task ended well, and nobody took it up or ran its phase again."""
    (folder / "go on").touch()
    until(lambda: state_of(folder) == "completed")
    events = log_of(folder)
    assert {event.attempt for event in events if event.type == "phase_started"} == {1}
    assert not [event for event in events if event.type in ("task_recovered", "phase_failed")]
    assert len([name for name, _ in runs(folder) if name == "planning"]) == 1


def test_a_host_whose_loop_stands_loses_nothing_to_others(tmp_path, hosts):
    one, two = hosts("one"), hosts("two")
    one.does("launch plain")
    until(lambda: started(tmp_path, "planning"))
    began = time.monotonic()
    assert one.does(f"block {3 * LEASE_S}").startswith("ok")
    assert time.monotonic() - began >= 3 * LEASE_S
    went_on_as_if_nothing_was(tmp_path)
    assert one.end().startswith("one:")
    two.end()


@pytest.mark.parametrize("others", [0, 1])
def test_a_host_whose_loop_stands_in_pieces_loses_nothing(tmp_path, hosts, others):
    """First for most of a lease, then again and again for longer than a look at the other hosts may take."""
    one, *more = hosts("one"), *(hosts("two") for _ in range(others))
    one.does("launch once")
    until(lambda: started(tmp_path, "planning"))
    pieces = [0.75 * LEASE_S, *[LEASE_S / 6] * 30]
    assert one.does(f"block {' '.join(map(str, pieces))}").startswith("ok")
    went_on_as_if_nothing_was(tmp_path)
    one.end()
    assert "can't show that it lives" not in (tmp_path / "one.err").read_text()
    for other in more:
        other.end()


def test_a_store_that_another_process_holds_past_the_lease_ends_nothing(tmp_path, hosts):
    one, two = hosts("one"), hosts("two")
    one.does("launch plain")
    until(lambda: started(tmp_path, "planning"))
    connection = sqlite3.connect(tmp_path / "store.db", isolation_level=None, timeout=30)
    connection.execute("BEGIN EXCLUSIVE")
    wait_s(3 * LEASE_S)
    connection.execute("ROLLBACK")
    connection.close()
    wait_s(1.5 * LEASE_S)
    went_on_as_if_nothing_was(tmp_path)
    one.end(), two.end()


def test_a_host_whose_loop_stands_for_too_long_gives_its_tasks_up(tmp_path, hosts):
    one, two = hosts("one", str(LEASE_S)), hosts("two")
    one.does("launch plain")
    until(lambda: started(tmp_path, "planning"))
    one.begins("block 600")
    until(lambda: started(tmp_path, "planning", times=2))
    (first, last), (again, _) = sorted(span for (phase, _), span in runs(tmp_path).items() if phase == "planning")
    assert first < last < again, "its worker still ran when the other host's began"
    assert "event loop has stood" in (tmp_path / "one.err").read_text()
    (tmp_path / "go on").touch()
    until(lambda: state_of(tmp_path) == "completed")
    (recovered,) = [event for event in log_of(tmp_path) if event.type == "task_recovered"]
    assert recovered.host.startswith("two:")
    one.process.kill()
    two.end()


def test_a_loop_that_stood_for_too_long_is_no_host_that_was_frozen(tmp_path, hosts):
    one = hosts("one", str(LEASE_S))
    one.does("launch plain")
    until(lambda: started(tmp_path, "planning"))
    one.does(f"block {4 * LEASE_S}")
    until(lambda: started(tmp_path, "planning", times=2))
    (tmp_path / "go on").touch()
    until(lambda: state_of(tmp_path) == "completed")
    events = log_of(tmp_path)
    (lost,) = [event for event in events if event.type == "phase_failed"]
    assert (lost.error.type, lost.next) == ("phasenb.WorkerLost", "retry")
    assert "its event loop stood" in lost.error.message
    assert not [event for event in events if event.type == "task_recovered"]
    one.end()


def wait_s(seconds):
    """Past a lease, which nothing tells of."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end)


@pytest.mark.parametrize("frozen", ["all", "the host alone"])
def test_a_host_that_is_frozen_and_thaws_starts_its_attempt_again_as_no_failure(tmp_path, hosts, frozen):
    """All: docker pause, a machine that sleeps. The host alone: Ctrl-Z of a script, as guardians are of no terminal."""
    one = hosts("one")
    one.does("launch once")
    until(lambda: started(tmp_path, "planning"))
    host = psutil.Process(one.process.pid)
    processes = [host, *(host.children(recursive=True) if frozen == "all" else ())]
    for process in processes:
        process.suspend()
    wait_s(2 * LEASE_S)
    for process in processes:
        process.resume()
    until(lambda: started(tmp_path, "planning", times=2))
    (tmp_path / "go on").touch()
    until(lambda: state_of(tmp_path) == "completed")
    (first, last), (again, _) = sorted(span for (phase, _), span in runs(tmp_path).items() if phase == "planning")
    assert first < last < again
    events = log_of(tmp_path)
    (recovered,) = [event for event in events if event.type == "task_recovered"]
    assert (recovered.reason, recovered.lost_attempt) == ("frozen", 1)
    assert not [event for event in events if event.type in ("phase_failed", "phase_retrying")]
    with sqlite3.connect(tmp_path / "store.db") as connection:
        lines = [text for (text,) in connection.execute("SELECT text FROM logs")]
    assert [line for line in lines if "phasenb was frozen" in line] == [FROZEN]
    one.end()


def test_a_killed_hosts_task_goes_on_at_the_other_one_at_once(tmp_path, hosts):
    one, two = hosts("one"), hosts("two")
    one.does("launch plain")
    until(lambda: started(tmp_path, "planning"))
    one.process.kill()
    one.process.wait()
    until(lambda: started(tmp_path, "planning", times=2))
    (tmp_path / "go on").touch()
    until(lambda: state_of(tmp_path) == "completed")
    spans = sorted(span for (phase, _), span in runs(tmp_path).items() if phase == "planning")
    assert spans[0][1] < spans[1][0]
    assert sum(phase == "research" for phase, _ in runs(tmp_path)) == 1, "a committed phase ran again"
    two.end()
