# dict keyed by cell classes; class in its own annotations; __reduce__ with a cell function; copyreg

# %%

import copyreg


class A:
    pass


class B:
    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        return mk, (self.x,)


def mk(x):
    return B(x)


class Cc:
    pass


copyreg.pickle(Cc, lambda c: (Cc, ()))


def f(d, b, c):
    return d[A], b.x, type(b) is B, {A: 2}, B(3), Cc()


r = launch(f, d={A: 1}, b=B(2), c=Cc()).result()
check("all", r[:3] == (1, 2, True) and r[3][A] == 2 and type(r[4]) is B)
