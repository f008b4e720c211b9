# dynamic functions in values: globals stay apart

# %%

N = 1


def make():
    return lambda x: x + N


fn = make()


def f(g):
    return g(1), g


r = launch(f, g=fn).result()
N = 100
check("reading wrote nothing", N == 100)
check("in", r[0] == 2)
