"""Inline: variables are those of the launch, classes are the notebook's own, ``__main__`` is left alone."""

import sys

from phasenb.codecs.names.files import write_code
from phasenb.codecs.names.home import inline_home
from phasenb.codecs.names.reading import read_code
from tests.codecs.names.notebook import dumps, kernel, loads

CELL = """
import dataclasses, enum
class Kind(enum.Enum):
    A = 1
@dataclasses.dataclass
class Plan:
    n: int
SCALE = 3
def phase(plan, kind):
    global SCALE
    SCALE += 1
    return Plan(plan.n * SCALE), kind is Kind.A, type(plan) is Plan, Kind.A
"""


def test_an_inline_phase_has_the_notebook_s_classes_and_the_launch_s_variables():
    with kernel({}) as main:
        exec(CELL, vars(main))
        code, plan, kind = write_code(main.phase), dumps(main.Plan(2)), dumps(main.Kind.A)
        main.SCALE = 100
        with inline_home():
            assert sys.modules["__main__"] is main
            output = read_code(code)(loads(plan), loads(kind))
            assert isinstance(output[0], main.Plan)
            data = dumps(output)
        assert main.SCALE == 100
        assert loads(data) == (main.Plan(8), True, True, main.Kind.A)


def test_an_inline_phase_that_outlives_a_rerun_of_its_classes_stays_of_one_mind():
    with kernel({}) as main:
        exec(CELL, vars(main))
        old = main.Plan
        code, plan, kind = write_code(main.phase), dumps(old(2)), dumps(main.Kind.A)
        exec(CELL, vars(main))
        with inline_home():
            output = read_code(code)(loads(plan), loads(kind))
            assert output[:3] == (old(8), True, True)
            data = dumps(output)
        assert loads(data) == (main.Plan(8), True, True, main.Kind.A)
