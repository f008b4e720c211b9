# exceptions of a cell's class

# %%


class Mine(Exception):
    def __init__(self, code, why):
        super().__init__(f"{code}: {why}")
        self.code, self.why = code, why

    def __reduce__(self):
        return type(self), (self.code, self.why)


class Simple(ValueError):
    pass


def f():
    raise Mine(3, "no")


def g():
    raise Simple("x")


try:
    launch(f).result()
    r = 0
except Mine as e:
    r = e.code
except Exception as e:
    r = repr(e)
check("with arguments", r == 3)
try:
    launch(g).result()
    r = 0
except Simple as e:
    r = str(e)
except Exception as e:
    r = repr(e)
check("simple", r == "x")


class Two(Exception):
    def __init__(self, a, b):
        super().__init__("m")
        self.a = a


def h():
    raise Two(1, 2)


try:
    launch(h).result()
    r = 0
except Two as e:
    r = e.a
except Exception as e:
    r = repr(e)
check("one whose __init__ does not fit its args is as in any pickle", "missing 1 required positional" in r)
