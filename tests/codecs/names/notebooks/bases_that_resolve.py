# classes whose statement gives other bases than it writes: TypedDict, NamedTuple, generics, __mro_entries__

# %%

import collections, dataclasses, typing
import typing_extensions
from typing import Generic, NamedTuple, NotRequired, Protocol, Required, TypedDict, TypeVar

T = TypeVar("T")


class A(TypedDict):
    a: int


class B(TypedDict, total=False):
    b: "A"
    r: Required[str]


class Both(A, B):
    c: NotRequired[int]


class Deeper(Both, total=False):
    d: int


class Boxed(TypedDict, Generic[T]):
    v: T


class IntBox(Boxed[int]):
    w: int


class PlainBox(Boxed):
    w: int


Odd = TypedDict("Odd", {"a-b": int, "in": A}, total=False)


class OddChild(Odd):
    z: int


class Ext(typing_extensions.TypedDict):
    e: int


class ExtChild(Ext, total=False):
    f: typing_extensions.ReadOnly[int]


class ExtBox(typing_extensions.TypedDict, Generic[T]):
    v: T


class ExtIntBox(ExtBox[int]):
    pass


class ExtPlainBox(ExtBox):
    pass


DICTS = [A, B, Both, Deeper, Boxed, IntBox, PlainBox, Odd, OddChild, Ext, ExtChild, ExtBox, ExtIntBox, ExtPlainBox]


def told(kinds):
    parts = ("__total__", "__required_keys__", "__optional_keys__", "__orig_bases__", "__parameters__", "__module__")
    return [
        (
            kind.__name__,
            kind.__mro__,
            [getattr(kind, part, None) for part in parts],
            typing.get_type_hints(kind, include_extras=True),
            typing_extensions.is_typeddict(kind),
            kind(a=1),
        )
        for kind in kinds
    ]


check("typed dicts", launch(lambda: told(DICTS)).result() == told(DICTS))
check("as values", launch(lambda kinds: (kinds, told(kinds)), kinds=DICTS).result() == (DICTS, told(DICTS)))
check("one alone", launch(lambda: Deeper(a=1, d=2)).result() == {"a": 1, "d": 2})

# %%


class N(NamedTuple):
    x: int
    y: int = 2


class NChild(N):
    __slots__ = ()

    @property
    def total(self):
        return self.x + self.y


class NBox(NamedTuple, Generic[T]):
    v: T


class Counted(collections.namedtuple("Counted", "n", defaults=[1])):
    def more(self):
        return self._replace(n=self.n + 1)


NFunctional = NamedTuple("NFunctional", [("x", int)])


class Numbers(list[int]):
    pass


class Pair(Generic[T], dict[str, T]):
    pass


class Named(Protocol[T]):
    def name(self) -> T: ...


class Has(Named[str]):
    def name(self):
        return "has"


class Asks:
    def __mro_entries__(self, bases):
        return (Numbers,)

    def __eq__(self, other):
        return type(other) is Asks


class Answers(Asks()):
    pass


Made = dataclasses.make_dataclass("Made", ["n"], bases=(Generic[T],), namespace={"__module__": "__main__"})


def values():
    return [
        *(NChild(1), NBox[int](2), Counted().more(), NFunctional(3)),
        *(Numbers([1]), Pair(a=1), Answers([2]), Made(4)),
    ]


def shown():
    kinds = [NChild, NBox, Counted, NFunctional, Numbers, Pair, Named, Has, Answers, Made]
    return [
        (kind.__name__, kind.__mro__, getattr(kind, "__orig_bases__", None), getattr(kind, "__parameters__", None))
        for kind in kinds
    ], (NChild(1).total, Has().name(), NBox[int], Pair[int])


found = launch(values).result()
check("values", found == values() and [type(each) for each in found] == [type(each) for each in values()])
check("classes", launch(shown).result() == shown())
