"""Previews: what a stored value looks like, for people. At most some 2,000 characters; making one never fails."""

from __future__ import annotations

import itertools
import reprlib
from typing import Any

from phasenb.codecs.base import comes_from
from phasenb.dto.values import Head

MAX_CHARS = 2000
_FEW = 20
_ROWS, _COLUMNS, _CELL_CHARS = 8, 12, 30


class _Bounded(reprlib.Repr):
    """A repr that looks at a few items only: the standard one sorts whole dicts and sets first."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxlist, self.maxtuple, self.maxstring, self.maxother = 4, _FEW, _FEW, 200, 500

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        if level <= 0:
            return "{...}"
        few = [f"{self.repr1(key, level - 1)}: {self.repr1(x[key], level - 1)}" for key in itertools.islice(x, _FEW)]
        return "{" + ", ".join(few + ["..."] * (len(x) > _FEW)) + "}"

    def repr_set(self, x: set[Any], level: int) -> str:
        if not x:
            return "set()"
        few = [self.repr1(item, level - 1) for item in itertools.islice(x, _FEW)]
        return "{" + ", ".join(few + ["..."] * (len(x) > _FEW)) + "}"

    def repr_frozenset(self, x: frozenset[Any], level: int) -> str:
        return f"frozenset({self.repr_set(set(itertools.islice(x, _FEW + 1)), level)})" if x else "frozenset()"


_REPR = _Bounded()


def preview(value: Any) -> str:
    """A text of the value; where its own repr fails, the failure's class."""
    try:
        text = _table(value) if comes_from(value, "pandas") else _REPR.repr(value)
    except Exception as error:  # a person's __repr__ may raise anything
        text = f"<{type(value).__name__}; its repr raised {type(error).__name__}>"
    return clip(text)


def head(value: Any) -> Head | None:
    """The first rows and columns of a DataFrame; None for all else."""
    if not (comes_from(value, "pandas") and hasattr(value, "columns") and hasattr(value, "itertuples")):
        return None
    try:
        few = value.iloc[:_ROWS, :_COLUMNS]
        columns = ("" if few.index.name is None else _cell(few.index.name), *map(_cell, few.columns))
        rows = tuple(tuple(map(_cell, row)) for row in few.itertuples(name=None))
    except Exception:  # as in preview
        return None
    return Head(columns=columns, rows=rows)


def _cell(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return clip(text if len(text) <= _CELL_CHARS else f"{text[: _CELL_CHARS - 1]}…")


def clip(text: str) -> str:
    """At most MAX_CHARS characters that JSON can carry."""
    if len(text) > MAX_CHARS:
        text = text[: MAX_CHARS - 1] + "…"
    return text.encode("utf-8", "replace").decode()


def _table(value: Any) -> str:
    if hasattr(value, "columns"):
        return str(
            value.iloc[:_ROWS].to_string(max_cols=_COLUMNS, max_colwidth=_CELL_CHARS)
        )  # what is left out is seen to be: "..."
    if hasattr(value, "iloc"):
        return str(value.iloc[:_ROWS].to_string())
    return _REPR.repr(value)
