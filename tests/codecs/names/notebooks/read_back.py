# an output that pickles and does not unpickle is refused where it is written

# %%

import collections, dataclasses


def refusal(task):
    try:
        task.result()
    except Exception as error:
        return str(error)
    return "nothing"


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


class Words(collections.Counter):
    def __init__(self, language, text):
        super().__init__(text.split())


class Ring(collections.deque):
    def __init__(self, size, items):
        super().__init__(items, size)


class Node:
    def __init__(self, name):
        self.name, self.peers = name, {self}

    def __hash__(self):
        return hash(self.name)


class Fixed:
    __slots__ = ("x",)

    def __init__(self, x):
        object.__setattr__(self, "x", x)

    def __setattr__(self, name, value):
        raise AttributeError("immutable")


def lower():
    made = Lower("p.")
    made["a"] = 1
    return made


check("__new__", "TypeError: Pt.__new__() takes 2 positional arguments" in refusal(launch(lambda: Pt(3))))
check("__reduce__", "Lockish.__init__() missing 1 required" in refusal(launch(lambda: [Lockish(1)])))
check("__getattr__", "RecursionError" in refusal(launch(lambda: Proxy(3))))
check("__setitem__", "has no attribute 'prefix'" in refusal(launch(lower)))
check("an exception", "NeedsTwo.__init__() missing 1" in refusal(launch(lambda: NeedsTwo(3, "why"))))
check("a dict's __init__", "Words.__init__() missing 1 required" in refusal(launch(lambda: Words("en", "a b"))))
check("a deque's __init__", "an integer is required" in refusal(launch(lambda: Ring(3, [1]))))
check("a cycle through a hash", "'Node' object has no attribute 'name'" in refusal(launch(lambda: Node("a"))))
check("__setattr__", "immutable" in refusal(launch(lambda: Fixed(1))))
check("and says what to do", "its class needs a __reduce__" in refusal(launch(lambda: Pt(3))))

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
