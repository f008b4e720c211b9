# a launch inside a phase; values through it

# %%


class P:
    def __init__(self, n):
        self.n = n


def inner(x):
    return isinstance(x, P), P(x.n + 1)


def outer():
    from tests.codecs.names.notebook import launch

    t = launch(inner, x=P(1))
    r = t.result()
    return r[0], isinstance(r[1], P), r[1]


r = launch(outer).result()
check("all", r[:2] == (True, True) and type(r[2]) is P and r[2].n == 2)
