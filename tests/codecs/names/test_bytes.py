"""The bytes: those without names, those of earlier releases, and those where cloudpickle is not as it was."""

import io
import pickle
import subprocess
import sys
import textwrap
from collections import ChainMap
from fractions import Fraction
from types import CodeType
from typing import ClassVar

import cloudpickle
import pytest

from phasenb.codecs import pickled
from phasenb.codecs.names.home import Home, process_home
from phasenb.codecs.names.plain import holds_secret, is_plain
from phasenb.codecs.names.reading import read_code
from phasenb.codecs.names.shapes import missing, shape
from phasenb.codecs.names.tail import Tail, read_tail, write_tail
from tests.codecs.names.notebook import dumps, kernel, loads


def as_before(value):
    """As releases before this one wrote: cloudpickle, and code with its file."""
    reduce_code = cloudpickle.Pickler.dispatch_table[CodeType]

    class Pickler(cloudpickle.Pickler):
        dispatch_table: ClassVar = ChainMap(
            {CodeType: lambda code: (pickled._code_of_file, (*reduce_code(code), code.co_filename))},
            cloudpickle.Pickler.dispatch_table,
        )

    file = io.BytesIO()
    Pickler(file, protocol=5).dump(value)
    return file.getvalue()


@pytest.mark.parametrize("value", [(1, "a"), {"n": {3: [None]}}, [Fraction(1, 3)] * 3, ValueError("x"), int, len])
def test_a_value_without_names_of_a_notebook_has_the_bytes_of_any_pickle(value):
    assert dumps(value) == as_before(value) == cloudpickle.dumps(value, 5)


CELL = """
import dataclasses, enum
class Kind(enum.Enum):
    A = 1
@dataclasses.dataclass
class Plan:
    n: int
    def more(self): return Plan(self.n + STEP)
STEP = 2
def double(n): return Plan(n * 2)
"""


def test_values_and_code_of_earlier_releases_can_be_read():
    with kernel({}) as main:
        exec(CELL, vars(main))
        value = as_before([main.Plan(1), main.Kind.A])
        code = as_before(main.double)
    with kernel({}) as main:
        plan, kind = loads(value)
        assert (plan.more().n, kind.name) == (3, "A")
        with process_home(Home()):
            assert read_code(code)(4).n == 8
        assert not hasattr(main, "Plan")


def test_any_pickle_reads_a_value_whose_classes_it_has():
    with kernel({}) as main:
        exec(CELL, vars(main))
        data = dumps([main.Plan(1), main.Kind.A])
        assert pickle.loads(data) == [main.Plan(1), main.Kind.A]


def test_a_tail_is_told_from_a_pickle_that_only_looks_like_one():
    file = io.BytesIO(pickle.dumps(b"PNDEF1\n"))
    assert read_tail(file) == Tail()
    assert file.tell() == 0
    file.seek(0, 2)
    tail = Tail({"P": ("class",)}, ((("P",), b"bytes"),))
    write_tail(file, tail)
    assert read_tail(file) == tail
    assert pickle.load(file) == b"PNDEF1\n"


def test_a_file_that_can_not_be_sought_in_is_read_too():
    class Stream(io.BytesIO):
        def seekable(self):
            return False

    assert pickled.PICKLE.read(Stream(dumps({"n": 1}))) == {"n": 1}


def test_an_unknown_cloudpickle_is_said_once_and_values_go_as_before():
    code = """
        import io, warnings
        from cloudpickle import cloudpickle as inside
        given, made, filled, state = (
            inside._class_getnewargs, inside._make_skeleton_class, inside._class_setstate, inside._class_getstate
        )
        def renamed(cls, *, new_argument): return state(cls)
        inside._class_getstate = renamed
        inside._dynamic_class_reduce = lambda cls: (
            made, given(cls), renamed(cls, new_argument=1), None, None, filled
        )
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            from phasenb.codecs.names.files import write_code, write_value
            from phasenb.codecs.names.reading import read_code, read_value
        class Plan:
            n = 3
        file = io.BytesIO()
        write_value(Plan(), file)
        print(read_value(file).n, read_code(write_code(Plan))().n, [str(each.message)[:11] for each in said])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.stdout == "3 3 ['cloudpickle']\n", done.stderr


def test_what_a_definition_is_said_to_be_tells_another_one_of_the_name():
    with kernel({}) as main:
        exec(CELL, vars(main))
        assert [shape(each) for each in (main.Kind, main.Plan, main.double, main.STEP, ValueError)] == [
            ("enum", "A"), ("dataclass", "n"), ("function",), ("data",), ("exception",),
        ]  # fmt: skip
    assert missing(("class",), main.Kind) is None
    assert missing(("enum", "A", "B"), main.Kind) is not None
    assert missing(("enum", "B"), main.Kind) is None
    assert missing(("dataclass", "m"), main.Plan) is None
    assert missing(("dataclass", "n", "m"), main.Plan) is not None
    assert missing(("class",), Exception.__base__.__base__) is not None


def test_constants_are_small_and_plain():
    assert is_plain({"a": [1, 2.5, None, ("b", b"c")]})
    assert not is_plain("x" * 1_001)
    assert not is_plain(list(range(101)))
    assert not is_plain([[[[1]]]])
    assert not is_plain({"a": object()})


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("API_KEY", "sk-1234567", True),
        ("headers", {"Authorization": ["Bearer 1234567"]}, True),
        ("passwords", ("abc", b"def"), True),
        ("API_KEY", b"sk-1234567", True),
        ("database", "postgresql://ada:engine@host/db", True),
        ("KEY", 3, False),
        ("monkeys", "bananas", False),
    ],
)
def test_a_constant_that_looks_like_a_secret_stays_behind(name, value, secret):
    assert holds_secret(name, value) is secret
