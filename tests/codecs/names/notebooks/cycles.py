# cycles through class attributes; value without the classes

# %%


class A:
    pass


class B:
    pass


A.partner = B
B.partner = A
A.me = A


class N:
    def __init__(self):
        self.o = None


def f():
    return [A(), B()]


keep("v", launch(f))
r = launch(f).result()
check("home", type(r[0]) is A)

# %% new kernel

a, b = kept("v").result()
check("cycle", type(a).partner is type(b) and type(b).partner is type(a) and type(a).me is type(a))
