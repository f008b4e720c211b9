# NamedTuple, namedtuple, TypedDict, NewType, TypeVar

# %%

import collections, typing


class N(typing.NamedTuple):
    x: int
    y: int = 2


C = collections.namedtuple("C", "a b")


class D(typing.TypedDict):
    a: int


U = typing.NewType("U", int)
T = typing.TypeVar("T")


def f(n, c):
    def ident(x: T) -> T:
        return x

    return isinstance(n, N), isinstance(c, C), N(3), C(1, 2), U(4), D(a=1), T


r = launch(f, n=N(1), c=C(1, 2)).result()
check("in", r[:2] == (True, True))
check("out", type(r[2]) is N and type(r[3]) is C and r[3] == C(1, 2))
check("TypeVar", r[6] is T)
