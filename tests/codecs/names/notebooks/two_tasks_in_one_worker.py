# two tasks in one warm worker, classes of one name

# %%


class C:
    tag = 1

    def v(self):
        return tag_of()


def tag_of():
    return "one"


def f(x):
    import os

    C.leak = 1
    return C().v(), isinstance(x, C), os.getpid(), C(), hasattr(C, "leak")


a = launch(f, x=C())

# %%


class C:
    tag = 2

    def v(self):
        return tag_of()


def tag_of():
    return "two"


def g(x):
    import os

    return C().v(), isinstance(x, C), os.getpid(), C(), hasattr(C, "leak"), C.tag


b = launch(g, x=C()).result()
a2 = a.result()
check("same worker", a2[2] == b[2])
check("each its own", a2[:2] == ("one", True) and b[:2] == ("two", True) and b[5] == 2)
check("nothing leaks", b[4] is False)


def h():
    C.leak = 1
    return [C]


def again():
    return hasattr(C, "leak")


launch(h)
check("the same class, another attempt", launch(again).result() is False)
