# a class whose name was deleted; names that no code uses

# %%


class P:
    pass


p = P()
Q = P
del P


def f(x):
    return isinstance(x, Q), type(x) is type(p), x


r = launch(f, x=p).result()
check("deleted name, alias", r[:2] == (True, True) and type(r[2]) is Q)


def hidden():
    return 5


def g():
    return globals()["hidden"]()


try:
    r = launch(g).result()
except Exception as e:
    r = repr(e)
check("a name that no code uses, by globals()", r == "KeyError('hidden')")


def k():
    return eval("hidden()")


try:
    r = launch(k).result()
except Exception as e:
    r = repr(e)
check("and by eval", "NameError" in r)
