# instance of a class whose cell was run again since (orphan)

# %%


class C:
    def v(self):
        return "old"


old = C()


class C:
    def v(self):
        return "new"


def f(x):
    return isinstance(x, C), x.v(), x


r = launch(f, x=old).result()
check("as in the cell", r[:2] == (False, "old"))
check("home", type(r[2]) is type(old))
