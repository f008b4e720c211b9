# a value that pickles and does not unpickle is refused where it is written

# %%

import collections, dataclasses, pickle, re, sys


def refusal(value):
    try:
        launch(lambda: value()).result()
    except pickle.PicklingError as error:
        return str(error)
    return None


class Pt(collections.namedtuple("Pt", "x y")):
    def __new__(cls, v):
        return super().__new__(cls, v, v)


class Lockish:
    def __init__(self, a):
        self.a = a

    def __reduce__(self):
        return Lockish, ()


class Proxy:
    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)


class Lower(dict):
    def __init__(self, prefix):
        self.prefix = prefix

    def __setitem__(self, key, value):
        super().__setitem__(self.prefix + key, value)


class NeedsTwo(Exception):
    __slots__ = ("code",)

    def __init__(self, code, why):
        super().__init__(f"{code}: {why}")


def lower():
    made = Lower("p.")
    made["a"] = 1
    return made


check("__new__", "TypeError: Pt.__new__() takes 2 positional arguments" in refusal(lambda: Pt(3)))
check("__reduce__", "Lockish.__init__() missing 1 required" in refusal(lambda: [Lockish(1)]))
check("__getattr__", "RecursionError" in refusal(lambda: Proxy(3)))
check("__setitem__", "has no attribute 'prefix'" in refusal(lower))
check("an exception", "NeedsTwo.__init__() missing 1" in refusal(lambda: NeedsTwo(3, "why")))
check("and says what to do", "its class needs a __reduce__" in refusal(lambda: Pt(3)))

# %%


class Fits(Pt):
    def __getnewargs__(self):
        return (self.x,)


class Counted:
    made = 0

    def __reduce__(self):
        return make_counted, ()


def make_counted():
    Counted.made += 1
    return Counted()


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    n: int


Plain = collections.namedtuple("Plain", "n")

check("one that fits", launch(lambda: Fits(3)).result() == (3, 3))
launch(lambda: Counted()).result()
check("read by the notebook once", Counted.made == 1)
check("plain ones", launch(lambda: (Frozen(1), Plain(2))).result() == (Frozen(1), Plain(2)))
