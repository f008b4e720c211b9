# methods and functions share the notebook's globals

# %%

STATE = {"n": 0}
N = 1


class C:
    def bump(self):
        global N
        N += 1
        STATE["n"] += 1
        return N


def helper():
    global N
    N += 10
    return N


def f():
    a = C().bump()
    b = helper()
    import __main__, sys

    return (
        a,
        b,
        N,
        STATE["n"],
        __main__.N,
        sys.modules["__main__"].helper is helper,
        globals() is vars(__main__),
        f.__globals__ is C.bump.__globals__,
        __name__,
    )


r = launch(f).result()
check("shared", r[:4] == (2, 12, 12, 1))
check("__main__ is it", r[4:8] == (12, True, True, True))
check("__name__", r[8] == "__main__")
check("the notebook's is not", N == 1)
