# two versions of a class, in a kernel that has none

# %%


class P:
    def v(self):
        return 1


def f():
    return P()


keep("a", launch(f))


class P:
    def v(self):
        return 2


keep("b", launch(f))

# %% new kernel

a, b = kept("a").result(), kept("b").result()
check("in a kernel", (a.v(), b.v(), type(a) is type(b)) == (1, 2, False))
