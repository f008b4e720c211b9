# enum, in and out

# %%

import enum


class Kind(enum.Enum):
    A = 1
    B = 2


class Flag(enum.IntFlag):
    X = 1
    Y = 2


def f(k):
    return k is Kind.A, isinstance(k, Kind), Kind.B, {Kind.A: 1}, Flag.X | Flag.Y


r = launch(f, k=Kind.A).result()
check("in", r[:2] == (True, True))
check("out", r[2] is Kind.B and r[3][Kind.A] == 1 and r[4] == Flag.X | Flag.Y and type(r[4]) is Flag)
