# value read in a kernel without the class

# %%

import dataclasses, enum


class Base:
    def hi(self):
        return "hi", SCALE


SCALE = 3


class Kind(enum.Enum):
    A = 1


@dataclasses.dataclass
class P(Base):
    n: int
    k: Kind = Kind.A

    def other(self):
        return P(self.n + 1), helper()


def helper():
    return SCALE


def f():
    return [P(1), P(2)]


keep("v", launch(f))

# %% new kernel

before = set(globals())
a = kept("v").result()
b = kept("v").result()
check("works", a[0].hi() == ("hi", 3) and a[0].other()[0].n == 2 and a[0].other()[1] == 3)
check("one class for two reads", type(a[0]) is type(b[0]) and a == b and a[0].k is b[0].k)
check("nothing put into the notebook", not {"P", "Base", "Kind", "SCALE", "helper"} & set(globals()))


def g(v):
    return v, [x.n for x in v]


r = launch(g, v=a).result()
check("sent on and back", type(r[0][0]) is type(a[0]) and r[0] == a)
keep("v2", launch(g, v=a))


class Base:
    pass


class Kind:
    pass


# %% new kernel

import dataclasses, enum


class Base:
    def hi(self):
        return "hi of now"


class Kind(enum.Enum):
    A = 1


@dataclasses.dataclass
class P(Base):
    n: int
    k: Kind = Kind.A


r = kept("v2").result()
check("in a kernel with the class again, after two without", type(r[0][0]) is P and r[0] == [P(1), P(2)])
