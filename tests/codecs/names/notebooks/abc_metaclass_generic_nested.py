# ABC, metaclass, generic, nested, __init_subclass__

# %%

import abc, typing, pickle

T = typing.TypeVar("T")


class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...


class Sq(Shape):
    def area(self):
        return 4


Shape.register(int)


class Meta(type):
    seen = []

    def __new__(m, name, bases, ns):
        if "run" not in ns:
            raise TypeError("needs run")
        m.seen.append(name)
        return super().__new__(m, name, bases, ns)


class WithMeta(metaclass=Meta):
    def run(self):
        return 1


class Plugin:
    all = []

    def __init_subclass__(cls, *, key, **k):
        super().__init_subclass__(**k)
        cls.key = key
        Plugin.all.append(cls)


class A(Plugin, key="a"):
    pass


class Box(typing.Generic[T]):
    def __init__(self, v):
        self.v = v


class IntBox(Box[int]):
    pass


class Outer:
    class Inner:
        class Deep:
            pass

    def make(self):
        return Outer.Inner()


def f(sq, w, a, d):
    try:
        Shape()
        abstract = False
    except TypeError:
        abstract = True
    return dict(
        sq=isinstance(sq, Shape),
        virt=isinstance(3, Shape),
        abstract=abstract,
        w=type(w) is WithMeta and type(WithMeta) is Meta,
        seen=list(Meta.seen),
        a=type(a) is A and A.key,
        alls=[c.__name__ for c in Plugin.all],
        same=Plugin.all[0] is A,
        box=Box[int](3),
        ib=IntBox(4),
        inner=Outer().make(),
        d=type(d) is Outer.Inner.Deep,
        q=Outer.Inner.Deep.__qualname__,
        pk=type(pickle.loads(pickle.dumps(d))) is Outer.Inner.Deep,
    )


def g(d):
    return type(pickle.loads(pickle.dumps(d))).__qualname__


t = launch(f, sq=Sq(), w=WithMeta(), a=A(), d=Outer.Inner.Deep())
r = t.result()
check("ABC", r["sq"] and r["virt"] and r["abstract"])
check("metaclass, not run again", r["w"] and r["seen"] == ["WithMeta"])
check("__init_subclass__ with keyword", r["a"] == "a" and r["alls"] == ["A"] and r["same"])
check("generic", type(r["box"]) is Box and type(r["ib"]) is IntBox)
check("nested", type(r["inner"]) is Outer.Inner and r["d"] and r["q"] == "Outer.Inner.Deep" and r["pk"])
check("nested, class not named in the phase", launch(g, d=Outer.Inner.Deep()).result() == "Outer.Inner.Deep")
check("notebook's own untouched", Meta.seen == ["WithMeta"] and Plugin.all == [A])
