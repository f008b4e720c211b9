"""What must hold for every log, every store and every file that phases appended to, however their hosts died.

Each function gives what is wrong, as lines; an empty list is what everybody hopes for. ``runs`` are lines of
``TASK PHASE KIND ATTEMPT``, one for each time that a phase's function began: what really ran, whatever the log says.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections import Counter
from itertools import pairwise
from pathlib import Path

import orjson

from phasenb.core.history import history_of
from phasenb.core.task_schema import fold
from phasenb.dto.events import parse_event
from phasenb.dto.phase_result import ResultStatus
from phasenb.dto.task_state import State
from phasenb.errors import PhasenbError

# No phase and no person can cause these: a task that they end was ended by phasenb's own mistake.
OUR_MISTAKES = {f"phasenb.{name}" for name in ("InternalError", "IllegalTransition", "Conflict", "LeaseLost")} | {
    "phasenb.StoreUnavailable"
}
WAITS_FOR_A_PERSON = (State.AWAITING_APPROVAL, State.PAUSED)


def log_of(path, task_id=None):
    """The events of a store's task; of its only one where none is named."""
    with sqlite3.connect(path) as connection:
        tasks = [task_id] if task_id else [found for (found,) in connection.execute("SELECT task_id FROM tasks")]
        (task_id,) = tasks
        rows = connection.execute("SELECT body FROM events WHERE task_id = ? ORDER BY seq", (task_id,))
        return [parse_event(body) for (body,) in rows]


def in_log(events, *, ended=True):
    """Of one task. ``ended``: it has ended, or waits for a person."""
    seqs = [event.seq for event in events]
    if seqs != list(range(1, len(events) + 1)):
        return [f"seq has gaps: {seqs}"]
    try:
        task, history = fold(events), history_of(events)
    except PhasenbError as error:
        return [f"it can't be folded: {error}"]
    wrong = [*_attempts(events), *_rollbacks(events), *(f"committed and started again: {a}" for a in reruns(events))]
    if ended and not task.state.terminal and task.state not in WAITS_FOR_A_PERSON:
        wrong.append(f"stuck: it is {task.state} after {[event.type for event in events[-5:]]}")
    wrong += [f"ended by {e.error}" for e in events if e.type == "task_error" and e.error.type in OUR_MISTAKES]
    if task.state is State.COMPLETED and history.rolling is not None:
        wrong.append("complete with an open rollback")
    return wrong


def reruns(events):
    """Attempts at committed phases that nothing asked for: (phase, attempt)."""
    found, complete, order = [], set(), events[0].phases
    for event in events:
        again = getattr(event, "to", None) or getattr(event, "redo", None) or getattr(event, "from_phase", None)
        if event.type in ("phase_rolled_back", "approval_denied", "task_retried") and again:
            complete -= set(order[order.index(again) :])
        elif event.type == "phase_started" and event.kind == "phase" and event.phase in complete:
            found.append((event.phase, event.attempt))
        elif event.type == "phase_complete" and event.kind == "phase":
            complete.add(event.phase)
    return found


def is_repeated(event):
    """Of an attempt that had failed already: what follows now that its retry was given up."""
    return event.type == "phase_failed" and event.given_up


def _attempts(events):
    """Each attempt has a number of its own, and one end."""
    wrong, numbers, running = [], Counter(), None
    for event in events:
        if event.type == "phase_started":
            if running is not None:
                wrong.append(f"{event.seq}: an attempt starts while {running} runs")
            numbers[event.phase] += 1
            running = (event.phase, event.attempt)
            if event.attempt != numbers[event.phase]:
                wrong.append(f"{event.seq}: attempt {event.attempt} of {event.phase} is its {numbers[event.phase]}th")
        elif event.type in ("phase_complete", "phase_failed") and not is_repeated(event):
            if running != (event.phase, event.attempt):
                wrong.append(f"{event.seq}: {event.type} of {event.phase} {event.attempt}, but {running} runs")
            running = None
        elif event.type == "task_recovered":
            if (running and running[1]) != event.lost_attempt:
                wrong.append(f"{event.seq}: it says attempt {event.lost_attempt} was lost, and {running} ran")
            running = None
        elif event.type in ("task_cancelled", "task_error"):
            running = None
    return wrong


def _rollbacks(events):
    """What a rollback set out to undo is undone in that order, or said to be not undone."""
    wrong, planned, undone = [], None, []
    for event in events:
        if event.type == "phase_failed" and event.kind == "phase" and event.next == "rollback":
            planned, undone = event.compensations, []
        elif event.type == "phase_complete" and event.kind == "compensation":
            undone.append(event.phase)
        elif event.type == "phase_rolled_back":
            if (*event.compensated, *event.not_undone) != planned and not event.not_undone:
                wrong.append(f"{event.seq}: undone {event.compensated}, planned {planned}")
            if list(event.compensated) != undone or {*event.compensated, *event.not_undone} != {*planned}:
                wrong.append(f"{event.seq}: it says {event.compensated} and {event.not_undone}; undone are {undone}")
    return wrong


def in_runs(events, runs):
    """Of one task: no attempt ran twice, none that was not started, and each that was committed did run."""
    started = {(event.phase, event.kind, event.attempt) for event in events if event.type == "phase_started"}
    complete = {(event.phase, event.kind, event.attempt) for event in events if event.type == "phase_complete"}
    ran = Counter((phase, kind, int(attempt)) for _, phase, kind, attempt in runs)
    wrong = [f"ran {times} times: {attempt}" for attempt, times in ran.items() if times > 1]
    wrong += [f"ran, and no event says so: {attempt}" for attempt in ran if attempt not in started]
    return wrong + [f"committed, and never ran: {attempt}" for attempt in complete if attempt not in ran]


def at_once(seen):
    """Attempts of one task that ran while another one did. ``seen``: lines of ``TASK PHASE KIND ATTEMPT TIME``, on the
    machine's monotonic clock, for moments at which a phase's function ran: the first and the last of them bound it.
    """
    spans = {}
    for task_id, *attempt, at in seen:
        first, last = spans.setdefault(task_id, {}).get(tuple(attempt), (float(at), float(at)))
        spans[task_id][tuple(attempt)] = min(first, float(at)), max(last, float(at))
    wrong = []
    for task_id, of_task in spans.items():
        for (one, (_, last)), (other, (first, _)) in pairwise(sorted(of_task.items(), key=lambda item: item[1])):
            if first < last:
                wrong.append(f"{task_id}: {other} ran while {one} did, for {last - first:.3f} s")
    return wrong


def in_store(path, runs=(), *, ended=True):
    """Of every task of a store, and of its tables and files together. {task_id or "store": lines}"""
    with sqlite3.connect(path) as connection:
        wrong = {"store": _tables(connection)}
        for task_id, state, seq, snapshot, host in connection.execute(
            "SELECT task_id, state, seq, snapshot, host FROM tasks"
        ).fetchall():
            rows = connection.execute("SELECT body FROM events WHERE task_id = ? ORDER BY seq", (task_id,)).fetchall()
            events = [parse_event(body) for (body,) in rows]
            found = in_log(events, ended=ended)
            task = None if found and found[0].startswith("it can't be folded") else fold(events)
            if task is not None:
                found += _row(task, state, seq, orjson.loads(snapshot), host)
                found += _results(connection, task_id, events)
                found += in_runs(events, [run for run in runs if run[0] == task_id])
            wrong[task_id] = found
    wrong["store"] += _objects(path)
    return {key: lines for key, lines in wrong.items() if lines}


def _tables(connection):
    (answer,) = connection.execute("PRAGMA integrity_check").fetchone()
    dangling = connection.execute("PRAGMA foreign_key_check").fetchall()
    return [*([] if answer == "ok" else [f"integrity: {answer}"]), *(f"foreign key: {row}" for row in dangling)]


def _row(task, state, seq, snapshot, host):
    """The task's row is its log, folded."""
    wrong = []
    if (state, seq) != (task.state, task.seq):
        wrong.append(f"its row says {state} at {seq}, its log {task.state} at {task.seq}")
    folded = orjson.loads(task.model_dump_json(exclude={"inputs"}))
    differing = [name for name, value in snapshot.items() if folded.get(name) != value]
    if differing:
        wrong.append(f"its snapshot differs from its log in {differing}")
    if task.state.terminal != (host is None):
        wrong.append(f"it is {task.state}, and its host is {host!r}")
    return wrong


def _results(connection, task_id, events):
    """Each attempt that ended has one result, of the status that its end says."""
    rows = connection.execute(
        "SELECT phase, kind, attempt, status FROM results WHERE task_id = ? AND revision = 1", (task_id,)
    ).fetchall()
    stored = {(phase, kind, attempt): status for phase, kind, attempt, status in rows}
    wrong, running = [], None
    expected = {}
    for event in events:
        if event.type == "phase_started":
            running = (event.phase, event.kind, event.attempt)
        elif event.type == "phase_complete":
            expected[running], running = {ResultStatus.COMPLETE}, None
        elif event.type == "phase_failed" and not is_repeated(event):
            expected[running], running = {ResultStatus.FAILED, ResultStatus.LOST}, None
        elif event.type in ("task_recovered", "task_error", "task_cancelled") and running is not None:
            ends = {"task_recovered": {ResultStatus.LOST}, "task_cancelled": {ResultStatus.CANCELLED}}
            expected[running] = ends.get(event.type, {ResultStatus.FAILED, ResultStatus.CANCELLED})
            running = None
    for attempt, statuses in expected.items():
        if stored.get(attempt) not in statuses:
            wrong.append(f"the result of {attempt} is {stored.get(attempt)}, and should be one of {sorted(statuses)}")
    return wrong + [f"a result of no attempt: {attempt}" for attempt in stored if attempt not in expected]


def _objects(path):
    """Every object that a row names is there, and is what its name says."""
    artifacts = Path(path).parent / "artifacts"
    with sqlite3.connect(path) as connection:
        texts = [text for (text,) in connection.execute("SELECT body FROM events UNION ALL SELECT body FROM results")]
        texts += [text for (text,) in connection.execute("SELECT body FROM checkpoints")]
    names = {name for text in texts for name in re.findall(r"sha256:([0-9a-f]{64})", text)}
    kept = {file.name: file for file in artifacts.glob("*/*/??/*")}
    wrong = [f"named, and not there: {name}" for name in names if name not in kept]
    return wrong + [
        f"damaged: {name}" for name in names & set(kept) if hashlib.sha256(kept[name].read_bytes()).hexdigest() != name
    ]


def runs_in(file):
    """The lines of a file that phases appended to, as tuples; a line that a kill cut off is none."""
    if not file.exists():
        return []
    whole = file.read_text().split("\n")[:-1]
    return [tuple(line.split()) for line in whole]
