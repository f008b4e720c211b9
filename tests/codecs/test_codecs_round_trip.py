"""Every kind of value comes back equal and of the same type, whichever codec took it."""

import datetime
import enum
import math
import tempfile
from collections import namedtuple
from decimal import Decimal

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.extra import pandas as hpd

from phasenb.codecs import decode, encode
from phasenb.codecs.objects import ObjectFolder
from phasenb.dto.phase_result import PhaseResult
from phasenb.dto.values import is_reference

FOLDER = ObjectFolder(tempfile.mkdtemp(prefix="phasenb-test-"))
Point = namedtuple("Point", "x y")


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


def there_and_back(value, **options):
    encoded = encode(value, FOLDER, **options)
    travelled = orjson.loads(orjson.dumps(encoded.value))  # as between processes, and to the store
    return encoded, decode(travelled, FOLDER)


def same(left, right) -> bool:
    """Equal, of the same types, all the way down; NaN is itself."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(
            same(a, b) and same(left[a], right[b]) for a, b in zip(left, right, strict=True)
        )
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, set | frozenset):
        return left == right and sorted(map(repr, map(type, left))) == sorted(map(repr, map(type, right)))
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or (
            left == right and math.copysign(1, left) == math.copysign(1, right)
        )
    return left == right


any_text = st.text(st.characters(exclude_categories=()))  # lone surrogates too
leaves = (
    st.none() | st.booleans() | st.integers() | st.integers(-(2**64), 2**64) | st.floats() | any_text
    | st.binary() | st.complex_numbers(allow_nan=False) | st.decimals(allow_nan=False) | st.fractions()
    | st.dates() | st.datetimes() | st.timedeltas() | st.uuids()
    | st.sampled_from([Colour.RED, Level.LOW, Point(1, 2.0), np.float64(1.5), np.int8(3), Ellipsis, range(3)])
)  # fmt: skip
hashable = st.none() | st.booleans() | st.integers() | any_text | st.tuples(st.integers(), any_text)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(any_text, inner)
        | st.dictionaries(hashable, inner)
        | st.sets(hashable)
        | st.frozensets(hashable)
    ),
    max_leaves=12,
)
json_trees = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


@given(trees)
def test_any_tree_comes_back_as_it_was(value):
    _, back = there_and_back(value)
    assert same(value, back)


@given(json_trees, st.sampled_from([0, 20, 262_144]))
def test_json_is_inline_up_to_the_bound_and_a_reference_beyond(value, bound):
    encoded, back = there_and_back(value, inline_bytes=bound)
    assert same(value, back)
    if not (isinstance(value, dict) and "$object" in value):
        size = len(orjson.dumps(value))
        assert is_reference(encoded.value) == (size > bound)
        if size <= bound:
            assert encoded.bytes == size
            assert same(encoded.value, value)


@given(json_trees)
def test_an_inline_value_stays_exact_in_a_result_that_is_stored_as_text(value):
    now = datetime.datetime.now(datetime.UTC)
    times = {"started_at": now, "ended_at": now, "duration_s": 0.0}
    result = PhaseResult(phase="research", attempt=1, status="complete", output=value, **times)
    assert same(orjson.loads(result.model_dump_json())["output"], value)


@pytest.mark.parametrize(
    ("value", "codec"),
    [
        ((1, 2), "pickle"),
        ({1: "one"}, "pickle"),
        ([float("nan")], "pickle"),
        ([float("inf")], "pickle"),
        ({"big": 2**64}, "pickle"),
        ({"small": -(2**63) - 1}, "pickle"),
        ("\ud800", "pickle"),
        ({"\ud800": 1}, "pickle"),
        (Colour.RED, "pickle"),
        ({"colour": Colour.RED}, "pickle"),
        (Level.LOW, "pickle"),
        (np.float64(1.5), "pickle"),
        (Point(1, 2), "pickle"),
        (bytearray(b"x"), "pickle"),
        (b"\x00\xff", "bytes"),
        ({"$object": "not a reference"}, "json"),
        ({"$object": "sha256:" + "0" * 64, "codec": "json"}, "json"),
        ("x" * 300_000, "text"),
        (["x" * 300_000], "json"),
        ({"x": [np.int64(1)]}, "pickle"),
        (Decimal("1.10"), "pickle"),
        (pd.Series([1, 2], name="s"), "pickle"),
        (np.array([1, 2]), "npy"),
        (pd.DataFrame({"a": [1]}), "parquet"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_json_would_change_goes_by_reference(value, codec):
    encoded, back = there_and_back(value)
    assert encoded.value["codec"] == codec
    assert type(back) is type(value)
    if codec == "pickle" and isinstance(value, list):
        assert repr(back) == repr(value)
    elif isinstance(value, pd.Series):
        pd.testing.assert_series_equal(back, value)
    else:
        assert np.all(back == value)


def test_a_deep_tree_is_not_inline_and_comes_back():
    deep = shallow = "leaf"
    for _ in range(150):
        deep = [deep]
    for _ in range(50):
        shallow = [shallow]
    assert is_reference(there_and_back(deep)[0].value)
    assert there_and_back(deep)[1] == deep
    assert there_and_back(shallow)[0].value == shallow


def test_a_cycle_and_an_unfolding_knot_keep_their_shape():
    cycle: list = []
    cycle.append(cycle)
    back = there_and_back(cycle)[1]
    assert back[0] is back
    knot: list = []
    for _ in range(60):
        knot = [knot, knot]
    back = there_and_back(knot)[1]
    assert back[0] is back[1]


def test_a_stored_value_does_not_change_with_the_original_or_with_a_reader():
    value = {"rows": [1, 2]}
    encoded = encode(value, FOLDER)
    value["rows"].append(3)
    decode(encoded.value, FOLDER)["rows"].clear()
    assert decode(encoded.value, FOLDER) == {"rows": [1, 2]}


# --- arrays ------------------------------------------------------------------------------------------------------


structured = st.sampled_from(
    [
        np.dtype([("a", "<i4"), ("b", ">f8"), ("c", "U3")]),
        np.dtype([("a", "<i4", (2, 3)), ("n", [("x", "<f4"), ("y", "S2")])]),
        np.dtype([("a", "i1"), ("b", "f8")], align=True),
        np.dtype({"names": ["a"], "formats": ["<i4"], "offsets": [4], "itemsize": 16}),
        np.dtype("i4", metadata={"unit": "mm"}),
    ]
)


@given(hnp.arrays(hnp.scalar_dtypes() | structured, hnp.array_shapes(min_dims=0, min_side=0)))
def test_arrays_come_back_with_their_dtype(value):
    _, back = there_and_back(value)
    assert type(back) is np.ndarray
    assert back.dtype == value.dtype
    assert back.dtype.metadata == value.dtype.metadata
    assert back.dtype.isalignedstruct == value.dtype.isalignedstruct
    assert back.shape == value.shape
    assert back.flags.writeable
    assert back.tobytes() == value.tobytes()


@pytest.mark.parametrize(
    "value",
    [
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(24).reshape(4, 6)[::2, ::3],
        np.array(5),
        np.zeros((0, 3), "f4"),
        np.array(["2026-01-01", "NaT"], "M8[D]"),
    ],
    ids=["fortran", "strided", "scalar", "empty", "dates"],
)
def test_plain_arrays_are_npy(value):
    encoded, back = there_and_back(value)
    assert encoded.value["codec"] == "npy"
    assert tuple(encoded.value.get("shape", ())) == value.shape
    np.testing.assert_array_equal(back, value, strict=True)


@pytest.mark.parametrize(
    "value",
    [
        np.ma.masked_array([1, 2], [True, False]),
        np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array([{"a": 1}, None], dtype=object),
        np.array(["a", "long"], dtype=np.dtypes.StringDType()),
    ],
    ids=["masked", "records", "objects", "strings"],
)
def test_other_arrays_are_pickled(value):
    encoded, back = there_and_back(value)
    assert encoded.value["codec"] == "pickle"
    assert type(back) is type(value)
    assert back.dtype == value.dtype
    assert back.tolist() == value.tolist()


# --- frames ------------------------------------------------------------------------------------------------------


ROWS = st.integers(0, 5)


def column_of(dtype, elements, rows):
    return st.lists(elements, min_size=rows, max_size=rows).map(lambda values: pd.Series(values, dtype=dtype))


instants = st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1))
spans = st.timedeltas(datetime.timedelta(days=-9999), datetime.timedelta(days=9999))


def columns(rows):
    """One column of ``rows`` cells, of any dtype that people meet."""
    small = st.integers(-100, 100)
    positive = st.integers(0, 100)
    missing = st.none()
    return st.one_of(
        *(column_of(f"int{bits}", small, rows) for bits in (8, 16, 32, 64)),
        *(column_of(f"uint{bits}", positive, rows) for bits in (8, 64)),
        *(column_of(f"float{bits}", st.floats(width=bits), rows) for bits in (16, 32, 64)),
        column_of("complex128", st.complex_numbers(), rows),
        column_of("bool", st.booleans(), rows),
        column_of("boolean", st.booleans() | missing, rows),
        column_of("Int64", st.integers(-(2**63), 2**63 - 1) | missing, rows),
        column_of("UInt8", positive | missing, rows),
        column_of("Float64", st.floats(allow_nan=False) | missing, rows),
        column_of("Float32", st.floats(width=32, allow_nan=False) | missing, rows),
        column_of("string", st.text() | missing, rows),
        column_of("str", st.text() | missing, rows),
        column_of("string[python]", st.text() | missing, rows),
        column_of("category", st.sampled_from(["a", "b", "c"]) | missing, rows),
        column_of(pd.CategoricalDtype(["z", "a", "b"], ordered=True), st.sampled_from(["a", "b"]) | missing, rows),
        *(column_of(f"datetime64[{unit}]", instants | missing, rows) for unit in ("s", "ms", "us", "ns")),
        *(
            column_of(f"datetime64[us, {zone}]", instants.map(lambda at: at.replace(tzinfo=datetime.UTC)), rows)
            for zone in ("UTC", "Europe/Berlin", "+05:30")
        ),
        *(column_of(f"timedelta64[{unit}]", spans | missing, rows) for unit in ("s", "us", "ns")),
        column_of("object", st.text() | missing, rows),
        column_of("object", any_text | missing | st.just(float("nan")), rows),
        column_of("object", small | st.text() | st.binary() | st.tuples(small) | st.just(pd.NA), rows),
        column_of("period[M]", st.sampled_from(["2026-01", "2026-02"]), rows),
        column_of("Sparse[int]", small, rows),
    )


def indexes(rows):
    labels = st.lists(st.integers(-99, 99), min_size=rows, max_size=rows)
    words = st.lists(st.text(max_size=3), min_size=rows, max_size=rows)
    return st.one_of(
        st.just(pd.RangeIndex(rows)),
        st.builds(
            lambda start, step: pd.RangeIndex(start, start + rows * step, step), ROWS, st.sampled_from([1, 3, -2])
        ),
        labels.map(lambda values: pd.Index(values, dtype="int64")),
        labels.map(lambda values: pd.Index(values, dtype="float32")),
        words.map(lambda values: pd.Index(values, dtype="str")),
        words.map(lambda values: pd.Index(values, dtype="object")),
        st.just(pd.date_range("2026-01-01", periods=rows, freq="h")),
        st.lists(instants, min_size=rows, max_size=rows).map(lambda values: pd.DatetimeIndex(values, tz="Europe/Rome")),
        labels.map(lambda values: pd.CategoricalIndex(values)),
        labels.map(
            lambda values: pd.MultiIndex.from_arrays([values, [str(each) for each in values]], names=["n", "s"])
        ),
    )


names = st.none() | st.text(max_size=4) | st.integers(0, 3)
attributes = st.just({}) | st.dictionaries(st.text(max_size=3), json_trees, max_size=2) | st.just({"t": (1, 2)})


@st.composite
def frames(draw):
    rows = draw(ROWS)
    labels = draw(
        st.lists(st.text(max_size=4), max_size=4, unique=True)
        | st.lists(st.integers(0, 9), max_size=3, unique=True)
        | st.lists(st.sampled_from(["a", "b"]), max_size=3)
        | st.lists(any_text | st.integers(), max_size=2, unique=True)
    )
    series = [draw(columns(rows)) for _ in labels]
    frame = pd.concat(series, axis=1) if series else pd.DataFrame(index=range(rows))
    frame.columns = pd.Index(labels, dtype=object) if draw(st.booleans()) else pd.Index(labels)
    index = draw(indexes(rows))
    if not isinstance(index, pd.MultiIndex):
        index = index.rename(draw(names))
    frame.index = index
    frame.columns.name = draw(names)
    frame.attrs = draw(attributes)
    return frame


def assert_same_frame(back, value):
    pd.testing.assert_frame_equal(
        back, value, check_index_type="exact", check_column_type="exact", check_freq=True, check_exact=True
    )
    assert type(back.index) is type(value.index)
    assert back.index.dtype == value.index.dtype
    assert back.columns.dtype == value.columns.dtype
    assert [type(label) for label in back.columns] == [type(label) for label in value.columns]
    assert (back.index.names, back.columns.names) == (value.index.names, value.columns.names)
    assert same(back.attrs, value.attrs)
    for place in range(value.shape[1]):
        left, right = back.iloc[:, place], value.iloc[:, place]
        assert left.dtype == right.dtype
        if left.dtype == object:
            assert [type(cell) for cell in left] == [type(cell) for cell in right]
        if isinstance(left.dtype, pd.DatetimeTZDtype):
            assert type(left.dtype.tz) is type(right.dtype.tz)


@given(frames())
def test_frames_come_back_as_they_were(value):
    _, back = there_and_back(value)
    assert_same_frame(back, value)


@given(hpd.data_frames([hpd.column("a", dtype=float), hpd.column("b", dtype=int)], index=hpd.range_indexes()))
def test_plain_frames_are_parquet(value):
    encoded, back = there_and_back(value)
    assert encoded.value["codec"] == "parquet"
    assert tuple(encoded.value["shape"]) == value.shape
    assert_same_frame(back, value)


def test_a_frame_over_several_row_groups_is_whole(monkeypatch):
    monkeypatch.setattr("phasenb.codecs.parquet.CHUNK_BYTES", 1000)
    value = pd.DataFrame({"n": range(1000), "s": [f"row {n}" for n in range(1000)], "x": np.linspace(0, 1, 1000)})
    value["o"] = value["s"].astype(object)
    value.loc[3, "o"] = None
    for frame in (value, value.iloc[::-3], value.set_index("n"), value.iloc[:0]):
        encoded, back = there_and_back(frame)
        assert encoded.value["codec"] == "parquet"
        assert_same_frame(back, frame)


def test_a_frame_that_was_read_can_be_changed():
    _, back = there_and_back(pd.DataFrame({"a": [1.0, 2.0]}))
    back.loc[0, "a"] = 5.0
    back["b"] = 1
    assert back["a"].tolist() == [5.0, 2.0]


def test_without_pyarrow_a_frame_is_pickled(monkeypatch):
    monkeypatch.setattr("phasenb.codecs.parquet._has_pyarrow", lambda: False)
    value = pd.DataFrame({"a": [1, 2]})
    encoded, back = there_and_back(value)
    assert encoded.value["codec"] == "pickle"
    assert_same_frame(back, value)
