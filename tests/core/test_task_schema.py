"""TaskSchema: a stateful property test attacks its invariants, a table test walks every cell."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from phasenb.core.task_schema import SCHEMA, apply, fold, with_update
from phasenb.core.transitions import COMMAND_OF, TRANSITIONS
from phasenb.dto import events as ev
from phasenb.dto.phase import PhaseStatus
from phasenb.dto.phase_result import ErrorInfo, PhaseResult, ResultStatus
from phasenb.dto.task_state import State, TaskState
from phasenb.errors import IllegalTransition

START = datetime(2026, 1, 1, tzinfo=UTC)
PHASES = ("research", "planning", "implementation")
ERROR = ErrorInfo(type="ValueError", message="no")
IDS = {"task_id": "0" * 26, "session": "test"}


def fields_for(event_class, phase, attempt, data):
    """Plausible or absurd fields of an event about ``phase`` and ``attempt``."""
    at = START + timedelta(seconds=data.draw(st.integers(0, 1000)))
    result = PhaseResult(
        phase=phase, attempt=attempt, status=ResultStatus.COMPLETE, started_at=START, ended_at=at, duration_s=1
    )
    choices = {
        "name": "t", "agent": "a", "phases": PHASES, "phase": phase, "attempt": attempt, "result": result,
        "kind": data.draw(st.sampled_from(["phase", "phase", "phase", "compensation"])),
        "error": ERROR, "next": data.draw(st.sampled_from(["retry", "fallback", "rollback", "abort"])),
        "delay_s": 1.0, "due_at": at, "to": data.draw(st.sampled_from(PHASES)), "by": "me", "reason": "no",
        "redo": data.draw(st.sampled_from([None, *PHASES])), "host": "h", "duration_s": 1.0,
        "from_phase": phase, "output": 1, "revision": 1,
    }  # fmt: skip
    wanted = {name: value for name, value in choices.items() if name in event_class.model_fields}
    if event_class is ev.ApprovalRequested:
        wanted.pop("kind")
    if event_class is ev.TaskRecovered:
        wanted["reason"] = data.draw(st.sampled_from([None, "frozen"]))
    if event_class is ev.PhaseRetrying:
        wanted["attempt"] = max(2, attempt)
    return {**wanted, "at": at}


class TaskMachine(RuleBasedStateMachine):
    """Throws any event at a task: legal ones are folded, the others must change nothing."""

    @initialize()
    def create(self):
        created = ev.TaskCreated(**IDS, seq=1, at=START, name="t", agent="a", phases=PHASES)
        self.log = [created]
        self.task = apply(None, created)
        self.started = set()
        self.finished = {}

    @rule(
        event_class=st.sampled_from(list(ev.EVENT_CLASSES.values())),
        phase=st.sampled_from(PHASES),
        offset=st.sampled_from([0, 0, 1, 1, 2]),
        seq_offset=st.sampled_from([1, 1, 1, 1, 0, 2]),
        data=st.data(),
    )
    def throw(self, event_class, phase, offset, seq_offset, data):
        attempt = max(1, self.task.phase_named(phase).attempt + offset)
        fields = fields_for(event_class, phase, attempt, data)
        event = event_class(**IDS, seq=max(1, self.task.seq + seq_offset), **fields)
        before = self.task.model_dump_json()
        try:
            after = apply(self.task, event)
        except IllegalTransition as refusal:
            assert self.task.model_dump_json() == before
            assert refusal.state == self.task.state
            assert refusal.command == COMMAND_OF.get(event.type, event.type)
            return
        if isinstance(event, ev.PhaseStarted):
            assert (phase, attempt) not in self.started, "an attempt number was used twice"
            self.started.add((phase, attempt))
        if isinstance(event, ev.PhaseComplete):
            assert self.task.running is not None
            assert (self.task.running.name, self.task.running.attempt) == (event.phase, event.attempt)
        if self.task.state.terminal:
            assert event.type == "task_retried"
        self.log.append(event)
        self.task = after

    @rule(percent=st.floats(-10, 200), phase=st.sampled_from(PHASES), attempt=st.integers(1, 3))
    def progress(self, percent, phase, attempt):
        update = ev.PhaseUpdate(task_id=IDS["task_id"], phase=phase, attempt=attempt, percent=percent)
        running = self.task.running
        shown = with_update(self.task, update)
        if running is None or (running.name, running.attempt) != (phase, attempt):
            assert shown == self.task
        else:
            assert shown.running.percent >= running.percent
            assert 0 <= shown.percent <= 100

    @invariant()
    def gapless(self):
        if hasattr(self, "task"):
            assert [event.seq for event in self.log] == list(range(1, self.task.seq + 1))

    @invariant()
    def a_snapshot_is_the_fold_of_all_events(self):
        if hasattr(self, "task"):
            assert fold(ev.parse_event(event.wire) for event in self.log) == self.task
            assert TaskState.model_validate_json(self.task.model_dump_json()) == self.task

    @invariant()
    def one_attempt_at_most_and_in_order(self):
        if hasattr(self, "task"):
            running = [phase for phase in self.task.phases if phase.status == PhaseStatus.RUNNING]
            assert len(running) <= 1
            if self.task.state in (State.QUEUED, State.RETRYING, State.AWAITING_APPROVAL) or self.task.state.terminal:
                assert not running
            assert all(0 <= phase.percent <= 100 for phase in self.task.phases)


TestTaskMachine = TaskMachine.TestCase


def test_every_event_and_state_is_in_the_table():
    assert set(TRANSITIONS) == {None, *State}
    assert {name for row in TRANSITIONS.values() for name in row} == set(ev.EVENT_TYPES)


@pytest.mark.parametrize("state", [state for state in State if not state.terminal])
def test_task_error_is_legal_from_every_state_that_is_not_terminal(state):
    assert SCHEMA.allows(state, "task_error")


def test_a_refusal_names_task_state_event_and_last_events():
    created = ev.TaskCreated(**IDS, seq=1, at=START, name="t", agent="a", phases=PHASES)
    task = apply(None, created)
    with pytest.raises(IllegalTransition) as refusal:
        apply(task, ev.TaskComplete(**IDS, seq=2, at=START, duration_s=1))
    assert str(refusal.value) == f"task {IDS['task_id']} is queued: task_complete is not possible"
    assert refusal.value.details["last_events"] == ["1 task_created"]


def test_the_documented_diagram_is_the_table():
    page = Path(__file__).parents[2] / "docs" / "states.md"
    assert f"```mermaid\n{SCHEMA.diagram()}\n```" in page.read_text()
