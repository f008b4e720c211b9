# names that only an annotation has, as text

# %%
from __future__ import annotations

import typing


class Deep:
    pass


class State(typing.TypedDict):
    deep: Deep


class Row(typing.NamedTuple):
    deep: Deep


def many(rows: list["Deep"]): ...


def f():
    hints = typing.get_type_hints
    return hints(State)["deep"].__name__, hints(Row)["deep"].__name__, hints(many)["rows"].__args__[0].__name__


check("hints", launch(f).result() == ("Deep", "Deep", "Deep"))
