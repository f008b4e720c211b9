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
