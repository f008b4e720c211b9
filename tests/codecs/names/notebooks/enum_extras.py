# enum: aliases, __init__, mixins, auto, methods

# %%

import enum, pickle


class Planet(enum.Enum):
    EARTH = (1, 2)
    MARS = (3, 4)
    TERRA = (1, 2)

    def __init__(self, a, b):
        self.a, self.b = a, b

    @property
    def s(self):
        return self.a + self.b


class Lab(str, enum.Enum):
    X = "x", "the x"

    def __new__(cls, v, label):
        o = str.__new__(cls, v)
        o._value_ = v
        o.label = label
        return o


class Au(enum.IntEnum):
    A = enum.auto()
    B = enum.auto()


def f(p):
    return (
        p is Planet.EARTH,
        Planet.TERRA is Planet.EARTH,
        list(Planet.__members__),
        Planet.MARS.s,
        Planet((3, 4)) is Planet.MARS,
        Lab.X.label,
        Lab("x") is Lab.X,
        Au.B + 1,
        pickle.loads(pickle.dumps(Lab.X)) is Lab.X,
        Lab.X,
    )


r = launch(f, p=Planet.EARTH).result()
check("all", r == (True, True, ["EARTH", "MARS", "TERRA"], 7, True, "the x", True, 3, True, Lab.X) and r[9] is Lab.X)

# %%

import functools


class Op(enum.Enum):
    MUL = enum.member(lambda a, b: a * b)
    ALSO = MUL
    LIMIT = enum.nonmember(5)
    HALF = functools.partial(divmod, 1)

    @enum.member
    def ADD(a, b):
        return a + b + Op.LIMIT

    @enum.member
    @staticmethod
    def SUB(a, b):
        return a - b

    def __call__(self, *arguments):
        return self.value(*arguments)


class Keep(enum.IntFlag, boundary=enum.KEEP):
    A = 1
    B = 2


class Held(enum.Enum):
    @enum.member
    class INNER:
        n = 3

    LIST = [1, 2]


def g(op):
    return (
        [op(5, 3), Op.ADD(1, 2), Op.SUB.value(5, 3), Op.HALF(2), Op.LIMIT, Op.ALSO is Op.MUL],
        [list(Op), list(Op.__members__)],
        [Keep(9), ~Keep.A, Keep.A | Keep.B, Keep._boundary_],
        [Held.INNER.value.n, Held([1, 2]) is Held.LIST],
    )


for op in (Op.MUL, Op.SUB):
    check(f"{op.name} in a phase and back", launch(g, op=op).result() == g(op))
check("only the class", launch(lambda: Op.ADD(1, 2)).result() == 8)
