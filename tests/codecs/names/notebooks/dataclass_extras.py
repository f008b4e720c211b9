# dataclass extras: KW_ONLY, InitVar, factory, subclass in the phase, weakref_slot

# %%

import dataclasses, weakref, typing


@dataclasses.dataclass(slots=True, weakref_slot=True)
class P:
    a: int
    _: dataclasses.KW_ONLY
    b: list = dataclasses.field(default_factory=list)
    c: dataclasses.InitVar[int] = 0
    d: typing.ClassVar[int] = 4

    def __post_init__(self, c):
        self.a += c


def f(p):
    @dataclasses.dataclass
    class Sub(P):
        e: int = 3

    s = Sub(1, c=2)
    w = weakref.ref(p)
    return s.a, s.b, s.e, w() is p, P(1, b=[1], c=5), [x.name for x in dataclasses.fields(P)], P.d


r = launch(f, p=P(1)).result()
check("all", r == (3, [], 3, True, P(1, b=[1], c=5), ["a", "b"], 4))
