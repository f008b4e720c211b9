"""Results that went over the wire are the frame that the store gives: values, dtypes, order of columns and rows."""

import io
import json
from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasenb.codecs.result_tables import ArrowResults, read_results
from phasenb.dto.phase_result import ErrorInfo, PhaseResult, ResultStatus
from phasenb.store.frames import RESULT_COLUMNS, results_frame
from phasenb.store.lazy import LazyValue
from phasenb.store.rows import result as stored_result
from phasenb.store.rows import result_values
from phasenb.store.table_frames import results_frame_of
from phasenb.web.results import JsonResults

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
REFERENCE = {
    "$object": f"sha256:{'a' * 64}",
    "codec": "parquet",
    "type": "pandas.DataFrame",
    "bytes": 10,
    "shape": [2, 3],
}
TIMES = st.datetimes(
    datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC) | st.just(timezone(timedelta(hours=5)))
)
RESULTS = st.builds(
    PhaseResult,
    phase=st.sampled_from(["research", "planning"]),
    attempt=st.integers(1, 3),
    kind=st.sampled_from(["phase", "compensation"]),
    revision=st.integers(1, 2),
    status=st.sampled_from(ResultStatus),
    started_at=TIMES,
    ended_at=TIMES,
    duration_s=st.floats(0, 1e9),
    output=JSON | st.just(REFERENCE),
    output_type=st.none() | TEXT,
    output_bytes=st.none() | st.integers(0, 2**40),
    error=st.none() | st.builds(ErrorInfo, type=TEXT, message=TEXT),
    worker=st.none() | TEXT,
    metrics=st.dictionaries(
        st.sampled_from(["loss", "accuracy", "ζ"]), st.floats(allow_nan=False, allow_infinity=False)
    ),
)
ROWS = st.lists(st.tuples(st.sampled_from(["TASK1", "TASK2"]), RESULTS), max_size=8)


def stored(rows):
    """Rows as the store keeps them: (task_id, text)."""
    return [(task_id, result_values(task_id, result)["body"]) for task_id, result in rows]


def over_arrow(pages):
    file = io.BytesIO()
    results = ArrowResults(file)
    for page in pages:
        results.add(page)
    results.finish()
    file.seek(0)
    return read_results(file)


def over_json(pages):
    file = io.BytesIO()
    results = JsonResults(file)
    for page in pages:
        results.add(page)
    results.finish()
    return json.loads(file.getvalue())["results"]


@given(rows=ROWS, cut=st.integers(0, 8), last=st.booleans(), flatten=st.booleans())
def test_the_frame_is_the_same_over_arrow_and_over_json(rows, cut, last, flatten):
    kept = stored(rows)
    pages = [page for page in (kept[:cut], kept[cut:]) if page]
    how = {"last": last, "flatten": flatten, "load": lambda value: value}
    local = results_frame([(task_id, stored_result(body)) for task_id, body in kept], **how)
    pd.testing.assert_frame_equal(results_frame_of(over_arrow(pages), **how), local)
    pd.testing.assert_frame_equal(results_frame(over_json(pages), **how), local)


def test_what_a_reader_of_the_stream_sees():
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    result = PhaseResult(
        phase="fit", attempt=1, status=ResultStatus.COMPLETE, started_at=at, ended_at=at, duration_s=0.5,
        output={"rows": [1, 2]}, metrics={"loss": 0.25},
    )  # fmt: skip
    table = over_arrow([stored([("TASK1", result)])])
    assert table.schema.field("started_at").type == pa.timestamp("us", tz="UTC")
    row = table.to_pylist()[0]
    assert (row["task_id"], row["started_at"], row["metrics"]) == ("TASK1", at, [("loss", 0.25)])
    assert json.loads(row["output"]) == {"rows": [1, 2]}
    assert row["output_bytes"] is row["error_type"] is None


def test_a_result_of_an_older_release_lacks_what_came_later():
    at = "2026-01-02T03:04:05.678901Z"
    old = {"phase": "fit", "attempt": 1, "status": "complete", "started_at": at, "ended_at": at, "duration_s": 0.5}
    page = [("TASK1", json.dumps(old))]
    local = results_frame([("TASK1", stored_result(page[0][1]))])
    pd.testing.assert_frame_equal(results_frame_of(over_arrow([page])), local)
    pd.testing.assert_frame_equal(results_frame(over_json([page])), local)


@pytest.mark.parametrize("arrow", [True, False])
def test_a_big_output_stays_where_it_is(arrow):
    at = datetime(2026, 1, 1, tzinfo=UTC)
    result = PhaseResult(
        phase="fit", attempt=1, status=ResultStatus.COMPLETE, started_at=at, ended_at=at, duration_s=1, output=REFERENCE
    )
    pages = [stored([("TASK1", result)])]
    load = {"load": lambda value: value["$object"]}
    frame = results_frame_of(over_arrow(pages), **load) if arrow else results_frame(over_json(pages), **load)
    value = frame["output"].iloc[0]
    assert isinstance(value, LazyValue)
    assert value.load() == REFERENCE["$object"]


def test_the_stream_has_the_columns_of_the_frame():
    file = io.BytesIO()
    ArrowResults(file).finish()
    assert read_results(io.BytesIO(file.getvalue())).column_names == [*RESULT_COLUMNS, "metrics"]
