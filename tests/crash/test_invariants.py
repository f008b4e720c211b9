"""The invariants can be broken, and say so: a proof is worth what its checks can find."""

import asyncio
import sqlite3
from datetime import UTC, datetime

import pytest

from phasenb.agents.packing import code_json, pack
from phasenb.agents.workflow import Workflow
from phasenb.config import load_settings
from phasenb.dto import events as ev
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.dto.phase_result import ErrorInfo, PhaseResult
from phasenb.host import Host
from tests.crash.invariants import at_once, in_log, in_runs, in_store, reruns

AT = datetime(2026, 11, 25, tzinfo=UTC)
ERROR = ErrorInfo(type="OSError", message="once")


def result(phase, attempt, kind):
    times = {"started_at": AT, "ended_at": AT, "duration_s": 0.0}
    return PhaseResult(phase=phase, attempt=attempt, kind=kind, status="complete", **times)


class Log:
    """Events of one task, numbered as they come."""

    def __init__(self):
        self.events = []
        self.add(ev.TaskCreated, name="n", agent="a", phases=("one", "two"))

    def add(self, event_class, seq=None, **fields):
        seq = seq or len(self.events) + 1
        self.events.append(event_class(task_id="t", session="s", seq=seq, at=AT, **fields))
        return self

    def starts(self, phase, attempt, kind="phase"):
        return self.add(ev.PhaseStarted, phase=phase, attempt=attempt, kind=kind)

    def completes(self, phase, attempt, kind="phase"):
        made = result(phase, attempt, kind)
        return self.add(ev.PhaseComplete, phase=phase, attempt=attempt, kind=kind, result=made)

    def fails(self, phase, attempt, **fields):
        return self.add(ev.PhaseFailed, phase=phase, attempt=attempt, error=ERROR, **fields)

    def whole(self):
        return self.starts("one", 1).completes("one", 1).starts("two", 1).completes("two", 1)


def finished():
    return Log().whole().add(ev.TaskComplete, duration_s=0.0)


def undoing(compensated):
    log = Log().starts("one", 1).completes("one", 1).starts("two", 1)
    log.fails("two", 1, next="rollback", to="one", compensations=("two", "one"))
    log.starts("two", 2, "compensation").completes("two", 2, "compensation")
    return log.add(ev.PhaseRolledBack, phase="two", to="one", compensated=compensated)


RUNS = [("t", "one", "phase", "1"), ("t", "two", "phase", "1")]


def test_a_good_log_is_good():
    assert in_log(finished().events) == []
    assert in_runs(finished().events, RUNS) == []
    assert reruns(finished().events) == []


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (Log().add(ev.TaskPaused, seq=3, by="ada"), "seq has gaps"),
        (Log().completes("one", 1), "it can't be folded"),
        (Log().starts("one", 1), "stuck: it is running"),
        (Log().add(ev.TaskError, error=ErrorInfo(type="phasenb.IllegalTransition", message="oh")), "ended by"),
        (undoing(("two",)), "planned ('two', 'one')"),
        (undoing(("two", "one")), "undone are ['two']"),
    ],
    ids=["gap", "illegal", "stuck", "mistake", "rollback that forgets", "rollback that lies"],
)
def test_a_bad_log_is_told(log, told):
    assert told in "\n".join(in_log(log.events))


def test_attempts_that_run_at_once_are_told():
    first = [("t", "one", "phase", "1", at) for at in ("1.0", "2.0", "3.0")]
    after = [("t", "one", "phase", "2", "3.1"), ("other", "one", "phase", "1", "2.5")]
    assert at_once(first + after) == []
    (told,) = at_once([*first, ("t", "one", "phase", "2", "2.9")])
    assert told == "t: ('one', 'phase', '2') ran while ('one', 'phase', '1') did, for 0.100 s"


def test_a_committed_phase_that_starts_again_is_told():
    log = Log().starts("one", 1).completes("one", 1).starts("one", 2)
    assert reruns(log.events) == [("one", 2)]
    asked = Log().starts("one", 1).completes("one", 1).add(ev.ApprovalRequested, phase="two")
    asked.add(ev.ApprovalDenied, phase="two", reason="no", redo="one", by="ada").starts("one", 2)
    assert reruns(asked.events) == []


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        ([*RUNS, RUNS[0]], "ran 2 times"),
        ([*RUNS, ("t", "two", "phase", "2")], "ran, and no event says so"),
        (RUNS[:1], "committed, and never ran"),
    ],
    ids=["twice", "unknown", "never"],
)
def test_runs_that_the_log_does_not_know_are_told(runs, told):
    assert told in "\n".join(in_runs(finished().events, runs))


def one():
    return list(range(200_000))


@pytest.fixture
def store(tmp_path):
    """A store with one task, whose output is an object."""

    async def make():
        flow = Workflow("kept", phases=("one",))
        flow.phase("one")(one)
        host = Host(load_settings({"store": {"url": str(tmp_path / "store.db")}}), embedded=True)
        await host.start()
        options = LaunchOptions(executor="inline", phases=("one",))
        launch = Launch(code=code_json(pack(flow)), options=options)
        task_id = (await host.manager.launch("ada", "s", launch)).task.task_id
        await host.manager.ended(task_id)
        await host.stop()
        return task_id

    task_id = asyncio.run(make())
    path = tmp_path / "store.db"
    assert in_store(path, [(task_id, "one", "phase", "1")]) == {}
    return path


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("UPDATE tasks SET state = 'failed'", "its row says failed"),
        ("UPDATE tasks SET snapshot = replace(snapshot, 'completed', 'failed')", "its snapshot differs"),
        ("UPDATE tasks SET host = 'somebody'", "its host is 'somebody'"),
        ("DELETE FROM results", "is None, and should be one of"),
        ("UPDATE results SET attempt = 7", "a result of no attempt"),
        ("DELETE FROM tasks", "foreign key"),
    ],
)
def test_a_damaged_store_is_told(store, damage, told):
    with sqlite3.connect(store) as connection:
        connection.execute(damage)
    assert told in str(in_store(store))


def test_objects_that_are_gone_or_damaged_are_told(store):
    (kept,) = (store.parent / "artifacts").glob("*/*/??/*")
    kept.chmod(0o600)
    kept.write_bytes(b"something else")
    assert "damaged" in str(in_store(store))
    kept.unlink()
    assert "named, and not there" in str(in_store(store))
