"""Frames: the columns and dtypes of design.md section 9, for rows of the store and of the HTTP API alike."""

import json
from datetime import UTC, datetime

import pandas as pd
import pytest

from phasenb.codecs import encode
from phasenb.codecs.objects import ObjectFolder
from phasenb.dto.phase_result import PhaseResult
from phasenb.dto.values import ObjectRef
from phasenb.store.frames import LazyValue, events_frame, logs_frame, results_frame, tasks_frame

TIME = "datetime64[us, UTC]"
TASKS = {
    "name": "string", "agent": "string", "session": "string", "state": "string", "phase": "string",
    "percent": "float64", "attempts": "int64", "created_at": TIME, "started_at": TIME, "ended_at": TIME,
    "duration_s": "float64", "error_type": "string", "error_message": "string", "parent": "string",
}  # fmt: skip
RESULTS = {
    "task_id": "string", "phase": "string", "attempt": "int64", "kind": "string", "revision": "int64",
    "status": "string", "started_at": TIME, "ended_at": TIME, "duration_s": "float64", "output": "object",
    "output_type": "string", "output_bytes": "Int64", "error_type": "string", "error_message": "string",
    "worker": "string",
    "code": "string",
}  # fmt: skip
EVENTS = {
    "task_id": "string", "seq": "int64", "type": "string", "at": TIME, "phase": "string", "attempt": "Int64",
    "body": "object",
}  # fmt: skip
LOGS = {
    "task_id": "string", "phase": "string", "attempt": "int64", "line": "int64", "stream": "string", "at": TIME,
    "text": "string",
}  # fmt: skip
AT = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)


def dtypes(frame):
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


def result(phase="research", attempt=1, **fields):
    times = {"started_at": AT, "ended_at": AT, "duration_s": 1.5}
    return PhaseResult(**{"phase": phase, "attempt": attempt, "status": "complete", **times, **fields})


def over_http(value):
    """As the HTTP API gives it: plain JSON."""
    return json.loads(value.model_dump_json(by_alias=True))


def test_empty_frames_have_all_columns_and_dtypes():
    assert dtypes(tasks_frame([])) == TASKS
    assert dtypes(results_frame([])) == RESULTS
    assert dtypes(results_frame([], last=True, flatten=True)) == RESULTS
    assert dtypes(events_frame([])) == EVENTS
    assert dtypes(logs_frame("x", [])) == LOGS
    assert tasks_frame([]).index.name == "task_id"


@pytest.mark.parametrize("as_given", [lambda task: task, over_http], ids=["objects", "json"])
def test_a_row_per_task(story, as_given):
    done = story(inputs={"path": "penguins.csv", "n": 3, "odd.name": [1]}, labels={"team": "birds"})
    list(done.whole())
    queued = story(inputs={"path": "other.csv"})
    queued.created()
    failed = story()
    for _ in (failed.created(), failed.started(), failed.failed()):
        pass
    frame = tasks_frame([as_given(told.task) for told in (done, queued, failed)])
    added = {name: dtype for name, dtype in dtypes(frame).items() if name not in TASKS}
    assert list(frame.columns) == [*TASKS, "input.path", "input.n", "input.odd.name", "label.team"]
    assert {name: dtypes(frame)[name] for name in TASKS} == TASKS
    assert added["label.team"] == "string"
    assert frame.index.tolist() == [done.task_id, queued.task_id, failed.task_id]
    assert frame["state"].tolist() == ["completed", "queued", "retrying"]
    assert frame["attempts"].tolist() == [3, 0, 1]
    assert frame["percent"].tolist() == [100.0, 0.0, 0.0]
    row = frame.loc[done.task_id]
    assert row["duration_s"] == (done.task.ended_at - done.task.started_at).total_seconds()
    assert row["created_at"] == done.task.created_at
    assert frame["duration_s"].isna().tolist() == [False, True, True]
    assert frame["error_type"].fillna("").tolist() == ["", "", "ValueError"]
    assert frame["error_message"].iloc[2] == "no such column"
    assert row["input.odd.name"] == [1]


def test_inputs_of_one_type_are_columns_of_it(story):
    told = [story(inputs={"n": n, "x": n / 2}) for n in range(3)]
    for each in told:
        each.created()
    frame = tasks_frame(each.task for each in told)
    assert (dtypes(frame)["input.n"], dtypes(frame)["input.x"]) == ("int64", "float64")
    assert frame[frame["input.n"] > 1].index.tolist() == [told[2].task_id]


@pytest.mark.parametrize("form", ["objects", "json"])
def test_a_row_per_attempt(story, form):
    error = {"type": "ValueError", "message": "no"}
    given = [
        ("T1", result(status="failed", error=error, worker="process-1")),
        ("T1", result(attempt=2, output={"rows": 344}, output_type="dict", output_bytes=12, metrics={"r2": 0.5})),
        ("T2", result(output=[1, 2], metrics={"rmse": 2})),
    ]
    if form == "json":
        given = [{"task_id": task_id, **over_http(each)} for task_id, each in given]
    frame = results_frame(given)
    assert dtypes(frame) == {**RESULTS, "metric.r2": "float64", "metric.rmse": "float64"}
    assert list(frame.columns) == [*RESULTS, "metric.r2", "metric.rmse"]
    assert frame["status"].tolist() == ["failed", "complete", "complete"]
    assert frame["output"].tolist() == [None, {"rows": 344}, [1, 2]]
    assert frame["error_type"].fillna("").tolist() == ["ValueError", "", ""]
    assert frame["output_bytes"].fillna(0).tolist() == [0, 12, 0]
    assert frame["metric.r2"].fillna(-1).tolist() == [-1, 0.5, -1]
    assert frame["started_at"].tolist() == [pd.Timestamp(AT)] * 3
    assert frame["duration_s"].tolist() == [1.5] * 3


def test_times_and_seconds_are_of_whole_milliseconds_and_never_later(story):
    at = datetime(2026, 11, 23, 12, 0, 0, 250_999, tzinfo=UTC)
    whole = pd.Timestamp(datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC))
    frame = results_frame([("T1", result(started_at=at, ended_at=at, duration_s=1.0004999))])
    assert (frame["started_at"][0], frame["ended_at"][0], frame["duration_s"][0]) == (whole, whole, 1.0)
    created = story()
    created.created()
    tasks = tasks_frame([created.task.changed(created_at=at)])
    assert tasks["created_at"].iloc[0] == whole
    assert "250999" not in frame.to_string() + tasks.to_string()


def test_last_keeps_the_attempts_that_count():
    given = [
        ("T1", result(status="failed")),
        ("T1", result(attempt=2)),
        ("T2", result()),
        ("T1", result("planning")),
        ("T1", result("planning", revision=2)),
        ("T1", result("planning", attempt=2, kind="compensation")),
    ]
    frame = results_frame(given, last=True)
    found = list(frame[["task_id", "phase", "attempt", "revision"]].itertuples(index=False, name=None))
    assert found == [("T1", "research", 2, 1), ("T2", "research", 1, 1), ("T1", "planning", 1, 2)]
    assert frame.index.tolist() == [0, 1, 2]


def test_flatten_makes_a_column_of_each_key():
    outputs = [{"rows": 344, "by": {"island": {"Dream": 124}, "none": {}}}, [1, 2], {"rows": 5}, {"$object": "x"}]
    given = [("T", result(attempt=number, output=output)) for number, output in enumerate(outputs[:3], 1)]
    frame = results_frame(given, flatten=True)
    assert [name for name in frame.columns if name.startswith("output.")] == [
        "output.rows", "output.by.island.Dream", "output.by.none",
    ]  # fmt: skip
    assert frame["output.rows"].fillna(-1).tolist() == [344, -1, 5]
    assert frame["output"].tolist() == outputs[:3]
    assert dtypes(results_frame(given[:1], flatten=True))["output.rows"] == "int64"


def test_a_big_value_is_lazy(tmp_path):
    folder = ObjectFolder(str(tmp_path))
    table = pd.DataFrame({"species": ["Adelie"], "mass_g": [3750]})
    reference = encode(table, folder).value
    asked = []

    def load(value):
        from phasenb.codecs import decode

        asked.append(value)
        return decode(value, folder)

    frame = results_frame([("T", result(output=reference))], load=load, flatten=True)
    cell = frame["output"].iloc[0]
    assert asked == []
    assert list(frame.columns) == list(RESULTS)
    assert isinstance(cell, LazyValue)
    assert repr(cell) == f"<DataFrame, 1 x 2, {reference['bytes']:,} bytes: .load() gives it>"
    assert "Adelie" in cell.preview
    small = LazyValue(
        ObjectRef.model_validate({**reference, "type": "tuple", "shape": None, "preview": "(1, 2)"}), load
    )
    assert repr(small) == f"(1, 2) <tuple, {reference['bytes']:,} bytes: .load() gives it>"
    pd.testing.assert_frame_equal(cell.load(), table)
    assert asked == [reference]
    assert isinstance(results_frame([("T", result(output=reference))])["output"].iloc[0], ObjectRef)
    assert {cell} == {LazyValue(cell.reference, load)}


@pytest.mark.parametrize("form", ["wire", "bytes", "objects", "json"])
def test_a_row_per_event(story, form):
    told = story()
    events = [event for append in told.whole() for event in append.events]
    forms = {
        "wire": [event.wire for event in events],
        "bytes": [event.wire.encode() for event in events],
        "objects": events,
        "json": [over_http(event) for event in events],
    }
    frame = events_frame(forms[form])
    assert dtypes(frame) == EVENTS
    assert frame["seq"].tolist() == list(range(1, 9))
    assert frame["type"].tolist()[:2] == ["task_created", "phase_started"]
    assert frame["attempt"].fillna(0).tolist() == [0, 1, 1, 1, 1, 1, 1, 0]
    assert frame["phase"].iloc[1] == "research"
    assert frame["at"].tolist() == [pd.Timestamp(event.at) for event in events]
    assert frame["body"].iloc[0]["name"] == "penguins"


def test_a_row_per_line():
    line = {"cursor": 7, "phase": "research", "attempt": 1, "line": 3, "stream": "stdout", "text": "ä"}
    frame = logs_frame("T", [{**line, "at": "2026-11-23T12:00:00.250000Z"}])
    assert dtypes(frame) == LOGS
    assert frame.iloc[0].tolist() == ["T", "research", 1, 3, "stdout", pd.Timestamp(AT), "ä"]
