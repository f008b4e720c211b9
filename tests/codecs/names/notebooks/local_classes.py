# local classes (made in a function)

# %%

import collections


def make():
    class L:
        def __init__(self, v):
            self.v = v

        def __eq__(self, o):
            return type(o) is type(self) and o.v == self.v

    return L


L1 = make()
Alias = collections.namedtuple("Other", "a")


def f(x):
    return isinstance(x, L1), L1(2), Alias(1)


t = launch(f, x=L1(1))
r = t.result()
check("identity in the phase", r[0])
check("and at home", type(r[1]) is L1 and type(r[2]) is Alias)


def g():
    class InPhase:
        pass

    return InPhase()


t = launch(g)
a = t.result()
type(a).mark = 1
b = t.result()
check("made in the phase: one class for two reads, unchanged", type(a) is type(b) and getattr(b, "mark", None) == 1)
