# name rebound to an instance; class replaced by its decorator

# %%


class config:
    v = 1


config = config()


def f(c):
    return c is not None and type(c) is type(config), c


t = launch(f, c=config)
r = t.result()
check("in the phase", r[0])
check("at home", type(r[1]) is type(config))


def deco(c):
    return type(c.__name__, (c,), {"__module__": c.__module__, "extra": 1})


@deco
class D:
    pass


def g(d):
    return type(d) is D, D()


r = launch(g, d=D()).result()
check("decorated", r[0] and type(r[1]) is D and r[1].extra == 1)
