"""The crash matrix: for every event type, a host dies by SIGKILL just before and just after the commit that brings it,
is started again, and the task must end right: no acknowledged event lost, no gap, no committed phase run again.
"""

import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest

from phasenb.core.task_schema import fold
from phasenb.dto.events import EVENT_TYPES
from tests.crash.invariants import in_store, log_of, reruns, runs_in

LIFE = Path(__file__).with_name("life.py")
SIGKILLED = -9
AT_ONCE = 3

# The scenario in which an event happens, and how often it has happened when the host dies.
CASES = {
    "task_created": ("plain", 1),
    "phase_started": ("plain", 2),
    "phase_complete": ("plain", 2),
    "task_complete": ("plain", 1),
    "phase_failed": ("retry", 1),
    "phase_retrying": ("retry", 1),
    "retry_given_up": ("giving_up", 1),
    "phase_fallback": ("fallback", 1),
    "phase_rolled_back": ("rollback", 1),
    "approval_requested": ("gate", 1),
    "approval_given": ("gate", 1),
    "approval_denied": ("denial", 1),
    "task_paused": ("pause", 1),
    "task_resumed": ("pause", 1),
    "cancel_requested": ("cancel", 1),
    "task_cancelled": ("cancel", 1),
    "task_error": ("failure", 1),
    "task_retried": ("failure", 1),
    "task_recovered": ("plain", 1),
}
# Beside the events themselves: every step of a rollback that undoes two phases.
MORE = [
    ("giving_up", "phase_retrying", 1),
    ("rollback", "phase_failed", 1),
    ("rollback", "phase_started", 4),
    ("rollback", "phase_complete", 3),
    ("rollback", "phase_started", 5),
    ("rollback", "phase_complete", 4),
    ("rollback", "phase_started", 6),
]
UNDONE = ("implementation", "planning")


class Lives:
    """Processes that live lives, each one after the other."""

    def __init__(self):
        self.idle = SimpleQueue()
        self.processes = []
        for _ in range(AT_ONCE):
            process = subprocess.Popen([sys.executable, LIFE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.processes.append(process)
            self.idle.put(process)

    def live(self, folder, scenario, *death):
        """How the process ended, and what it said."""
        process = self.idle.get()
        process.stdin.write(" ".join(map(str, (folder, scenario, *death))) + "\n")
        process.stdin.flush()
        code = int(process.stdout.readline())
        self.idle.put(process)
        return code, (folder / "life.err").read_text()[-2000:]

    def end(self):
        for process in self.processes:
            process.stdin.close()
            process.wait(30)
            process.stdout.close()


@pytest.fixture
def lives():
    made = Lives()
    yield made
    made.end()


def cases():
    listed = [(scenario, event_type, nth) for event_type, (scenario, nth) in CASES.items()] + MORE
    return [(when, *case) for case in listed for when in ("before", "after")]


def one(lives, folder, when, scenario, event_type, nth):
    """Run one case; what is wrong with its end, as lines."""
    folder.mkdir()
    if event_type == "task_recovered":
        assert lives.live(folder, scenario, "after", "phase_started", 2)[0] == SIGKILLED
    code, problem = lives.live(folder, scenario, when, event_type, nth)
    if code != SIGKILLED:
        return [f"the host was to die and ended with {code}: {problem}"]
    code, problem = lives.live(folder, scenario)
    if code != 0:
        return [f"the next host ended with {code}: {problem}"]
    events, runs = log_of(folder / "store.db"), runs_in(folder / "runs.txt")
    wrong = [line for lines in in_store(folder / "store.db", runs).values() for line in lines]
    wrong += lost(folder, events) + ran_again(events, runs)
    expected = "cancelled" if scenario == "cancel" else "completed"
    if fold(events).state != expected:
        wrong.append(f"it ended {fold(events).state}, not {expected}: {[event.type for event in events]}")
    return wrong + (not_undone(events, runs) if scenario == "rollback" else [])


def lost(folder, events):
    stored = {f"{event.seq} {event.type}" for event in events}
    told = (folder / "told.txt").read_text().split("\n")[:-1]
    return [f"acknowledged and lost: {line}" for line in told if line not in stored]


def ran_again(events, runs):
    """By what really ran: attempts of committed phases, and second runs of one attempt."""
    found = {(phase, int(attempt)) for _, phase, kind, attempt in runs if kind == "phase"} & {*reruns(events)}
    twice = [run for run, times in Counter(runs).items() if times > 1]
    return [f"committed and run again: {each}" for each in (*found, *twice)]


def not_undone(events, runs):
    """A rollback's functions really ran, in their order, and the log names just them."""
    (closed,) = (event for event in events if event.type == "phase_rolled_back")
    complete = [event for event in events if event.type == "phase_complete" and event.kind == "compensation"]
    ran = [(phase, int(attempt)) for _, phase, kind, attempt in runs if kind == "compensation"]
    wrong = [f"it says that {closed.compensated} are undone, not {UNDONE}"] if closed.compensated != UNDONE else []
    wrong += [f"{event.phase} {event.attempt} is said to be undone, and its function did not run" for event in complete
              if (event.phase, event.attempt) not in ran]  # fmt: skip
    if tuple(event.phase for event in complete) != UNDONE:
        wrong.append(f"undone were {[event.phase for event in complete]}")
    return wrong


def test_every_event_type_is_in_the_matrix():
    assert set(CASES) == set(EVENT_TYPES)


@pytest.mark.timeout(900)
def test_the_crash_matrix(tmp_path, lives, proof):
    listed = cases()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ends = list(pool.map(lambda case: one(lives, tmp_path / "-".join(map(str, case)), *case), listed))
    told = [line for wrong in ends for line in wrong]
    rows = {}
    for (when, scenario, event_type, nth), wrong in zip(listed, ends, strict=True):
        rows.setdefault(f"{event_type} ({scenario} {nth})", []).append(f"{when}: {'WRONG' if wrong else 'ok'}")
    proof(
        f"crash matrix of hosts: {len(listed)} cases, {sum(map(bool, ends))} wrong; "
        f"acknowledged events lost: {sum('acknowledged and lost' in line for line in told)}; "
        f"committed phases run again: {sum('run again' in line for line in told)}",
        rows,
    )
    problems = {" ".join(map(str, case)): wrong for case, wrong in zip(listed, ends, strict=True) if wrong}
    if problems:
        pytest.fail("\n".join(f"{case}: {line}" for case, wrong in problems.items() for line in wrong))
