"""The crash matrix: for every event type, a host dies by SIGKILL just before and just after the commit that brings it,
is started again, and the task must end right: no acknowledged event lost, no gap, no committed phase run again.
"""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from phasenb.core.history import history_of
from phasenb.core.task_schema import fold
from phasenb.dto.events import EVENT_TYPES, parse_event

LIFE = Path(__file__).with_name("life.py")
SIGKILLED = -9

# The scenario in which an event happens, and how often it has happened when the host dies.
CASES = {
    "task_created": ("plain", 1),
    "phase_started": ("plain", 2),
    "phase_complete": ("plain", 2),
    "task_complete": ("plain", 1),
    "phase_failed": ("retry", 1),
    "phase_retrying": ("retry", 1),
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
# Beside the events themselves: the start and the end of a compensation.
MORE = [("rollback", "phase_started", 4), ("rollback", "phase_complete", 3)]


def live(folder, scenario, *death):
    done = subprocess.run(
        [sys.executable, LIFE, folder, scenario, *map(str, death)], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stderr


def log_of(folder):
    with sqlite3.connect(folder / "store.db") as connection:
        return [parse_event(body) for (body,) in connection.execute("SELECT body FROM events ORDER BY seq")]


def runs_again(events):
    """Committed phases that were started again although nothing asked for it."""
    found, complete, order = [], set(), events[0].phases
    for event in events:
        again = getattr(event, "to", None) or getattr(event, "redo", None) or getattr(event, "from_phase", None)
        if event.type in ("phase_rolled_back", "approval_denied", "task_retried") and again:
            complete -= set(order[order.index(again) :])
        elif event.type == "phase_started" and event.kind == "phase" and event.phase in complete:
            found.append(event.phase)
        elif event.type == "phase_complete" and event.kind == "phase":
            complete.add(event.phase)
    return found


def cases():
    listed = [(scenario, event_type, nth) for event_type, (scenario, nth) in CASES.items()] + MORE
    return [(when, *case) for case in listed for when in ("before", "after")]


def one(folder, when, scenario, event_type, nth):
    """Run one case; what is wrong with its end, as lines."""
    folder.mkdir()
    if event_type == "task_recovered":
        assert live(folder, scenario, "after", "phase_started", 2)[0] == SIGKILLED
    code, problem = live(folder, scenario, when, event_type, nth)
    if code != SIGKILLED:
        return [f"the host was to die and ended with {code}: {problem[-2000:]}"]
    code, problem = live(folder, scenario)
    if code != 0:
        return [f"the next host ended with {code}: {problem[-2000:]}"]
    events = log_of(folder)
    wrong = []
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        wrong.append(f"seq has gaps: {[event.seq for event in events]}")
    stored = {f"{event.seq} {event.type}" for event in events}
    lost = [line for line in (folder / "told.txt").read_text().split("\n") if line and line not in stored]
    wrong += [f"acknowledged and lost: {line}" for line in lost]
    wrong += [f"committed and run again: {phase}" for phase in runs_again(events)]
    task, history = fold(events), history_of(events)
    expected = "cancelled" if scenario == "cancel" else "completed"
    if task.state != expected or history.rolling is not None:
        wrong.append(f"it ended {task.state}, not {expected}: {[event.type for event in events]}")
    return wrong


def test_every_event_type_is_in_the_matrix():
    assert set(CASES) == set(EVENT_TYPES)


def test_the_crash_matrix(tmp_path, capsys):
    listed = cases()
    with ThreadPoolExecutor(3) as pool:
        ends = list(pool.map(lambda case: one(tmp_path / "-".join(map(str, case)), *case), listed))
    with capsys.disabled():
        bad = sum(bool(wrong) for wrong in ends)
        told = [line for wrong in ends for line in wrong]
        losses = sum("acknowledged and lost" in line for line in told)
        reruns = sum("run again" in line for line in told)
        print(
            f"\ncrash matrix: {len(listed)} cases, {bad} wrong; events lost: {losses}, committed phases rerun: {reruns}"
        )
    problems = {" ".join(map(str, case)): wrong for case, wrong in zip(listed, ends, strict=True) if wrong}
    if problems:
        pytest.fail("\n".join(f"{case}: {line}" for case, wrong in problems.items() for line in wrong))
