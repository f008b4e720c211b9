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

import pytest

from phasenb.core.task_schema import fold
from phasenb.dto.events import parse_event

HOST = Path(__file__).with_name("steady_host.py")
PATIENCE_S = 30.0


class Process:
    """One host, told what to do line by line."""

    def __init__(self, folder, name):
        self.folder = folder
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, HOST, folder, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / f"{name}.err").open("w"),
            text=True,
        )
        assert self.answer() == "ready"

    def answer(self):
        return self.process.stdout.readline().strip()

    def does(self, words):
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        return self.answer()

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

    def start(name):
        started.append(Process(tmp_path, name))
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
