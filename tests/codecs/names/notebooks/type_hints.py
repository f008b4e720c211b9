# get_type_hints with future annotations

# %%

from __future__ import annotations
import dataclasses, typing


@dataclasses.dataclass
class Inner:
    x: int


@dataclasses.dataclass
class Outer:
    inner: Inner
    many: list[Inner]
    o: typing.Optional[Deep] = None


class Deep:
    pass


class State(typing.TypedDict):
    o: Outer


def helper(a: Inner) -> Outer: ...
def f():
    return [
        typing.get_type_hints(Outer)["inner"] is Inner,
        typing.get_type_hints(State)["o"] is Outer,
        typing.get_type_hints(helper)["a"] is Inner,
        typing.get_type_hints(Outer)["o"].__args__[0].__name__,
    ]


check("hints", launch(f).result() == [True, True, True, "Deep"])
