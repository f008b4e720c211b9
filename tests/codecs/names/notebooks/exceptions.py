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
    r = (e.a, str(e))
except Exception as e:
    r = repr(e)
check("its __init__ does not take its args", r == (1, "m"))

# %%


class Coded(ValueError):
    def __init__(self, code):
        super().__init__(f"code {code}")
        self.code = code


class Missing(FileNotFoundError):
    def __init__(self, name):
        super().__init__(2, "no such file", name)
        self.name = name


class Both(KeyError, AttributeError):
    def __new__(cls, *, why):
        return super().__new__(cls, why)

    def __init__(self, *, why):
        super().__init__(why)
        self.why = why


class Group(ExceptionGroup):
    def __new__(cls, errors):
        return super().__new__(cls, f"{len(errors)} errors", errors)

    def __init__(self, errors):
        self.first = errors[0]


class Slotted(Exception):
    __slots__ = ("code",)

    def __init__(self, code):
        super().__init__(code)
        self.code = code


def errors():
    noted = Coded(3)
    noted.add_note("a note")
    return [noted, Missing("owls.csv"), Both(why="x"), Group([Coded(4)]), Slotted(5), UnicodeDecodeError("a", b"", 0, 1, "r")]


for kind in ("once", "twice"):
    task = launch(errors) if kind == "once" else relaunch(lambda task: task, task=task)
    coded, missing, both, group, slotted, decode = task.result()
    check(f"{kind}: its args are its own", (str(coded), coded.code, coded.__notes__) == ("code 3", 3, ["a note"]))
    check(f"{kind}: of the system", (missing.errno, missing.filename, missing.name) == (2, "owls.csv", "owls.csv"))
    check(f"{kind}: two bases", (both.args, both.why) == (("x",), "x"))
    check(f"{kind}: a group", (group.message, group.first is group.exceptions[0]) == ("1 errors", True))
    check(f"{kind}: slots", slotted.code == 5)
    check(f"{kind}: Python's own", decode.reason == "r")
