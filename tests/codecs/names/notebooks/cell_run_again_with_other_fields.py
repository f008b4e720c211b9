# class cell run again with changed fields

# %%

import dataclasses, enum, typing, warnings


@dataclasses.dataclass
class P:
    n: int


class K(enum.Enum):
    A = 1
    OLD = 2


class N(typing.NamedTuple):
    x: int
    y: int


@dataclasses.dataclass(slots=True)
class S:
    a: int
    b: int


def f():
    return P(1)


def g():
    return K.OLD, P(1)


def h():
    return N(1, 2)


def s():
    return S(1, 2)


tf, tg, th, ts = launch(f), launch(g), launch(h), launch(s)

# %%


@dataclasses.dataclass
class P:
    n: int
    m: int = 7


class K(enum.Enum):
    A = 1
    NEW = 3


class N(typing.NamedTuple):
    x: int
    y: int
    z: int


@dataclasses.dataclass(slots=True)
class S:
    a: int
    c: int


p = tf.result()
check("field added: class of now", type(p) is P and p == P(1, 7))
with warnings.catch_warnings(record=True) as w:
    warnings.simplefilter("always")
    k, p = tg.result()
    n = th.result()
    s = ts.result()
check(
    "enum member gone: definition of then",
    k.name == "OLD" and not isinstance(k, K) and K.__members__.keys() == {"A", "NEW"},
)
check("the other class beside it: of now", type(p) is P)
check("NamedTuple, another count", tuple(n) == (1, 2) and n.x == 1)
check("slots, another field", (s.a, s.b) == (1, 2))
check("said", len(w) >= 3)
