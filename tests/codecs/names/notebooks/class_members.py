# members of classes: classmethod, staticmethod, property, super, the __class__ cell

# %%

import functools


class A:
    def __init__(self, v):
        self.v = v

    @classmethod
    def make(cls):
        return cls(1)

    @staticmethod
    def st(x):
        return x + 1

    @property
    def p(self):
        return self.v

    @p.setter
    def p(self, x):
        self.v = x


class B(A):
    def __init__(self, v):
        super().__init__(v)
        self.w = __class__

    def __repr__(self):
        return f"B{self.v}"

    __str__ = __repr__
    __hash__ = None


def f(mk):
    b = B.make()
    b.p = 3
    return b.v, b.w is B, B.st(1), str(b), B.__hash__ is None, B.make, A.st, mk()


r = launch(f, mk=B.make).result()
check("all", r[:5] == (3, True, 2, "B3", True))
check("bound classmethod is the notebook's", r[5].__self__ is B and r[6] is A.st and type(r[7]) is B)

# %%  instances of a class among its own attributes

import dataclasses
import typing


class Point(typing.NamedTuple):
    x: int
    y: int


Point.ORIGIN = Point(0, 0)


@dataclasses.dataclass(frozen=True, slots=True)
class Version:
    n: int


Version.FIRST = Version(1)


class Only:
    one = None

    def __new__(cls):
        if cls.one is None:
            cls.one = super().__new__(cls)
        return cls.one


ONLY = Only()


def constants():
    return Point.ORIGIN, Version.FIRST, Only() is ONLY


check("instances as class attributes", launch(constants).result() == constants())
