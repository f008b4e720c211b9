# globals that are instances; registries; hash at load; singletons by __reduce__

# %%


class P:
    def __init__(self, n):
        self.n = n

    def __hash__(self):
        return helper(self)

    def __eq__(self, o):
        return type(o) is P and self.n == o.n


def helper(p):
    return hash(p.n) + OFF


OFF = 3
TABLE = {P(1): 2}
CFG = P(5)


class Single:
    def __reduce__(self):
        return "ONE"


ONE = Single()


def f(t, one):
    return TABLE[P(1)], isinstance(CFG, P), t[P(1)], one is ONE, ONE, TABLE


r = launch(f, t=TABLE, one=ONE).result()
check("all", r[:4] == (2, True, 2, True) and r[4] is ONE and r[5] == TABLE)
