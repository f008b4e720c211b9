"""Histories of tasks with what the Python reducer makes of them: the TypeScript reducer must give the same.

``python -m tests.labextension.vectors`` writes ``labextension/tests/vectors/reducer.json``: hypothesis draws histories,
and those are kept that go through a cell of the table (state, event, target) that none before went through. A vector is
``{"steps": [[message, change], ...]}``: ``change`` are the fields of the snapshot that differ from the one before.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from phasenb.core.task_schema import apply, with_update
from phasenb.core.transitions import TRANSITIONS
from phasenb.dto import events as ev
from phasenb.dto.phase_result import ErrorInfo, PhaseResult, ResultStatus
from phasenb.errors import IllegalTransition

VECTORS = Path(__file__).parents[2] / "labextension" / "tests" / "vectors" / "reducer.json"
START = datetime(2026, 1, 1, tzinfo=UTC)
PHASES = ("research", "planning", "implementation")
IDS = {"task_id": "01KC0000000000000000000000", "session": "nb:vectors-1"}
LONGEST = 40
# How often each event is picked beside the others: what ends a task is rare, or few tasks would get far.
_OFTEN = ("phase_started", "phase_complete", "phase_rolled_back", "task_complete")
_WEIGHTS = {"cancel_requested": 1, "task_error": 3, "retry_given_up": 2, **dict.fromkeys(_OFTEN, 20)}

# What JavaScript reads and writes as it stands: `1.0` is 1 there, numbers past 2**53 are others, "1" sorts before "a".
_numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.sampled_from([0.5, -1.25, 3.75e-5, 123456.789])
_texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(["ok", "„quoted“ 🐧", "tab\tand\x1b[31m"])
_names = st.sampled_from(["rows", "café", "a b", "$"])
_values = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=6,
)
_REFERENCES = [
    {"$object": f"sha256:{'a' * 64}", "codec": "parquet", "type": "pandas.DataFrame", "bytes": 1234567},
    {"$object": f"sha256:{'b' * 64}", "codec": "text", "type": "str", "bytes": 900, "preview": "🐧" * 300},
]
_outputs = _values | st.sampled_from(_REFERENCES) | st.just("long " * 60)
_errors = st.builds(
    ErrorInfo, type=st.sampled_from(["ValueError", "helpers.Bad"]), message=_texts, retryable=st.booleans()
)


def _picked(pick, outputs, errors, task, at):
    """Values for whatever event comes next: ``{field: value}``."""
    unfinished = next((phase.name for phase in task.phases if phase.status != "complete"), PHASES[-1])
    phase = pick([unfinished, unfinished, unfinished, *PHASES])
    return {
        "phase": phase, "attempt": task.phase_named(phase).attempt, "error": pick(errors), "at": at,
        "kind": "compensation" if task.rolling_back else "phase", "output": pick(outputs), "by": "ada",
        "next": pick(["retry", "fallback", "rollback", "abort"]), "delay_s": 1.5, "due_at": at,
        "maximum_attempts": pick([None, 3]), "to": pick(PHASES), "reason": "no", "redo": pick([None, *PHASES]),
        "host": "host-2", "duration_s": 1.5, "from_phase": phase, "agent": pick(["own", "cheap"]),
        "revision": pick([None, 2]),
    }  # fmt: skip


def _event(event_type, picked, task):
    """An event of this type that may well be the next one."""
    fields = dict(picked)
    if event_type in ("phase_complete", "phase_failed"):
        fields["attempt"] = max(1, fields["attempt"])
        times = {"started_at": START, "ended_at": fields["at"], "duration_s": 1.5}
        about = {name: fields[name] for name in ("phase", "attempt", "output")}
        fields["result"] = PhaseResult(status=ResultStatus.COMPLETE, **about, **times)
    else:
        fields["attempt"] += 1
    if event_type == "phase_retrying":
        fields["attempt"] = max(2, fields["attempt"])
    elif event_type == "approval_requested":
        fields |= {"kind": "gate", "revision": fields["revision"] or 1}
    elif event_type in ("approval_given", "approval_denied") and task.approval:
        fields |= {"phase": task.approval.phase, "edited": fields["output"]}
    elif event_type == "task_cancelled":
        fields["error"] = fields["error"] if task.rolling_back else None
    elif event_type == "phase_rolled_back" and task.rolling_back:
        fields["phase"] = task.rolling_back
    elif event_type == "phase_failed" and task.given_up:
        fields |= {"phase": task.given_up, "attempt": task.phase_named(task.given_up).attempt, "next": "abort"}
        fields["given_up"] = True
    elif event_type == "retry_given_up":
        fields["phase"] = next(phase.name for phase in task.phases if phase.status == "retrying")
    elif event_type == "task_recovered":
        fields["reason"] = None
    event_class = ev.EVENT_CLASSES[event_type]
    known = {name: value for name, value in fields.items() if name in event_class.model_fields}
    return event_class(**{**IDS, "seq": task.seq + 1, **known})


def _possible(picked, task):
    """[(event, task after it), ...]: what may follow, by its weight."""
    found = []
    for event_type in sorted(TRANSITIONS[task.state]):
        event = _event(event_type, picked, task)
        try:
            after = apply(task, event)
        except IllegalTransition:
            continue
        found += [(event, after)] * _WEIGHTS.get(event_type, 4)
    return found


@st.composite
def histories(draw):
    """[(message, task after it), ...]: events that may follow one another, with progress in between."""
    outputs = draw(st.lists(_outputs, min_size=1, max_size=4))
    errors = draw(st.lists(_errors, min_size=1, max_size=2))
    pick = draw(st.randoms(use_true_random=True)).choice
    created = ev.TaskCreated(
        **IDS, seq=1, at=START, name="penguins", agent="workflow", phases=PHASES, inputs={"path": outputs[0]},
        labels={"team": "birds"}, key=pick([None, "2026-W47"]), notebook="/home/ada/penguins.ipynb",
        secrets=pick([(), ("API_KEY",)]),
    )  # fmt: skip
    task = apply(None, created)
    steps = [(created, task)]
    for second in range(LONGEST):
        if task.running is not None and pick([True, False]):
            steps.append(_updated(pick, task))
            task = steps[-1][1]
        at = START + timedelta(seconds=second, microseconds=pick([0, 1, 250_000]))
        possible = _possible(_picked(pick, outputs, errors, task, at), task)
        if not possible:
            break
        steps.append(pick(possible))
        task = steps[-1][1]
    return steps


def _updated(pick, task):
    about = {"phase": task.running.name, "attempt": task.running.attempt + pick([0, 0, 0, 1])}
    percent = pick([0.0, 12.5, 33.3, 70.0, 100.0, 250.0])
    message = pick([None, "fold 3 of 5"])
    update = ev.PhaseUpdate(task_id=task.task_id, percent=percent, message=message, eta_s=percent / 4, **about)
    return update, with_update(task, update)


def cells(steps):
    """(state, event type, target) of each step, and how far each update moved."""
    state = ""
    found = set()
    for message, task in steps:
        if message.type != "phase_update":
            found.add((state, message.type, str(task.state)))
        state = str(task.state)
    return found


def table_cells():
    return {
        (str(state or ""), event_type, str(target))
        for state, row in TRANSITIONS.items()
        for event_type, targets in row.items()
        for target in targets
    }


def as_vector(steps):
    before: dict = {}
    written = []
    for message, task in steps:
        shown = task.as_json()
        change = {name: value for name, value in shown.items() if name not in before or before[name] != value}
        written.append([message.model_dump(mode="json", by_alias=True), change])
        before = shown
    return {"steps": written}


def made(max_examples=2000):
    """Vectors that together go through each cell of the table."""
    kept, covered = [], set()

    @settings(
        derandomize=True, database=None, max_examples=max_examples, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(histories())
    def collect(steps):
        fresh = cells(steps) - covered
        if fresh:
            covered.update(fresh)
            kept.append(as_vector(steps))

    collect()
    missing = table_cells() - covered
    assert not missing, f"no history went through {sorted(missing)}"
    return kept


def main():
    vectors = made()
    VECTORS.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(vector, ensure_ascii=False, separators=(",", ":")) for vector in vectors)
    VECTORS.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{len(vectors)} histories, {VECTORS.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
