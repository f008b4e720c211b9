"""What an event keeps of itself: its JSON text, and the task that it was last folded into."""

from phasenb.core.task_schema import apply
from phasenb.dto.base import new_ulid
from phasenb.dto.events import PhaseStarted, TaskCreated, parse_event

COMMON = {"task_id": new_ulid(), "session": "nb", "at": "2026-01-01T00:00:00Z"}
CREATED = TaskCreated(**COMMON, seq=1, name="fit", agent="fit", phases=("research",))
STARTED = PhaseStarted(**COMMON, seq=2, phase="research", attempt=1)


def test_a_changed_copy_has_a_text_of_its_own():
    assert '"seq":2' in STARTED.wire
    copy = STARTED.changed(worker="another")
    assert '"worker":"another"' in copy.wire
    assert parse_event(copy.wire) == copy != STARTED


def test_an_event_is_folded_once_over_the_same_task_and_anew_over_another():
    task = apply(None, CREATED)
    assert apply(None, CREATED) is task
    started = apply(task, STARTED)
    assert apply(task, STARTED) is started
    other = task.changed(labels={"team": "a"})
    assert apply(other, STARTED) == started.changed(labels={"team": "a"})
    assert apply(task, STARTED) == started


def test_what_an_event_keeps_is_no_part_of_it():
    fresh = parse_event(STARTED.wire)
    apply(apply(None, CREATED), STARTED)
    assert fresh == STARTED
    assert fresh.model_dump() == STARTED.model_dump()
    assert fresh.model_dump_json(by_alias=True) == STARTED.model_dump_json(by_alias=True)
