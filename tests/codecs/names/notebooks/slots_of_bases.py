# slots: of a base, an ABC, an exception, a generic dataclass; a generic NamedTuple

# %%

import dataclasses, typing, abc

T = typing.TypeVar("T")


class GN(typing.NamedTuple, typing.Generic[T]):
    x: T


@dataclasses.dataclass(slots=True)
class Base:
    a: int


@dataclasses.dataclass(slots=True)
class Sub(Base, typing.Generic[T]):
    b: T = None


class AB(abc.ABC):
    __slots__ = ("__p", "q")

    def __init__(self):
        self.__p = 1
        self.q = 2

    @property
    def p(self):
        return self.__p


class E(Exception):
    __slots__ = ("code",)


def f(s, ab):
    e = E("x")
    e.code = 3
    return (
        s == Sub(1, 2),
        hasattr(s, "__dict__"),
        ab.p,
        ab.q,
        hasattr(ab, "__dict__"),
        GN[int](3),
        Sub(5),
        e.code,
        Sub.__parameters__ == (T,),
    )


r = launch(f, s=Sub(1, 2), ab=AB()).result()
check("all", r[:5] == (True, False, 1, 2, False) and type(r[5]) is GN and r[6] == Sub(5) and r[7:] == (3, True))
