# instance that holds a cell function; bound methods; partial

# %%

import functools

K = 1


def helper(x):
    return x + K


class H:
    def __init__(self):
        self.fn, self.b, self.p, self.l = helper, self.m, functools.partial(helper, 2), (lambda x: x + K)

    def m(self):
        return K


def f():
    return H()


r = launch(f).result()
check("the notebook's own function", r.fn is helper and r.b.__func__ is H.m and r.p.func is helper)
K = 10
check("its globals", (r.fn(1), r.b(), r.p()) == (11, 10, 12))
check("a lambda in a value keeps the launch's globals", r.l(1) == 2)
