# what code needs and does not name: subclasses, annotations of functions that it makes, what a tool put into builtins

# %%

import typing


class Base:
    def all(self):
        return [each.__name__ for each in type(self).__subclasses__()]


class S1(Base):
    pass


class S2(Base):
    def loads(self):
        return S3


class S3(S2):
    pass


def walk(kind):
    return [(each, walk(each)) for each in kind.__subclasses__()]


check("subclasses", launch(lambda: Base().all()).result() == ["S1", "S2"])
check("of subclasses", launch(lambda: walk(Base)).result() == [(S1, []), (S2, [(S3, [])])])

# %%


class A: ...


class B: ...


class C: ...


def train():
    raise AssertionError


def hints():
    def f(a: "A", *, b: "list[B]" = ()) -> "C": ...

    class Inner:
        c: "C"

    return typing.get_type_hints(f), list(typing.get_type_hints(Inner).values())


def mentions():
    made = lambda: None
    return "train" in globals(), made()


check("hints", launch(hints).result() == hints())
check("a text that names a function brings none", launch(mentions).result() == (False, None))

# %%

import builtins
from pprint import pformat

builtins.shown = pformat  # as IPython does with its display


def shows():
    return shown({"a": 1}), [shown(each) for each in (1,)]


try:
    found = launch(lambda: (shows(), "shown" in globals())).result()
finally:
    del builtins.shown
check("added to builtins", found == (("{'a': 1}", ["1"]), True))
