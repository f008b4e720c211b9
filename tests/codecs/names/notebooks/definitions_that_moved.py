# a class cell that was edited and run again: fields and members keep what they are, or come with their own definition

# %%

import dataclasses
import enum
import typing
import warnings

import attrs
import pydantic


def read(task):
    """(the value, whether a warning says that it comes with its own)"""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        value = task.result()
    return value, any("comes with its own" in str(each.message) for each in told)


class Status(enum.Enum):
    OPEN = enum.auto()
    PAID = enum.auto()


class Mode(enum.Flag):
    R = enum.auto()
    W = enum.auto()


class Point(typing.NamedTuple):
    lat: float
    lon: float


@dataclasses.dataclass
class Fit:
    a: float
    b: float


@dataclasses.dataclass(frozen=True, slots=True)
class Fixed:
    a: float
    b: float


@dataclasses.dataclass(slots=True)
class Slotted:
    a: float


@attrs.define
class Cut:
    a: int
    b: int


class Row(pydantic.BaseModel):
    a: int


status = launch(lambda: [Status.OPEN, Status.PAID])
mode = launch(lambda: (Mode.R | Mode.W, Mode.R, Mode(0)))
point, fit, fixed, slotted = (
    launch(lambda: Point(47.0, 8.5)),
    launch(lambda: Fit(1.5, 2.5)),
    launch(lambda: Fixed(1.5, 2.5)),
    launch(lambda: Slotted(1.5)),
)
cut, row = launch(lambda: Cut(1, 2)), launch(lambda: Row(a=1))

# %%


class Status(enum.Enum):
    DRAFT = enum.auto()
    OPEN = enum.auto()
    PAID = "paid"


class Mode(enum.Flag):
    X = enum.auto()
    R = enum.auto()
    W = enum.auto()


check("auto, a member in front, a value changed", read(status) == ([Status.OPEN, Status.PAID], False))
check("flags", read(mode) == ((Mode.R | Mode.W, Mode.R, Mode(0)), False))

# %%


class Status(enum.Enum):
    PAID = 1


class Point(typing.NamedTuple):
    lon: float
    lat: float


@dataclasses.dataclass(frozen=True, slots=True)
class Fit:
    a: float
    b: float


@dataclasses.dataclass(frozen=True, slots=True)
class Fixed:
    b: float
    a: float


@dataclasses.dataclass(slots=True)
class Slotted:
    a: float
    unit: str


@attrs.define
class Cut:
    z: int
    a: int
    b: int


class Row(pydantic.BaseModel):
    a: int
    c: list


(opened, paid), own = read(status)
check("a member that is gone", (opened.name, own) == ("OPEN", True))
for label, task, told in [
    ("fields of a named tuple exchanged", point, "Point(lat=47.0, lon=8.5)"),
    ("a dataclass made frozen with slots", fit, "Fit(a=1.5, b=2.5)"),
    ("fields with slots exchanged", fixed, "Fixed(a=1.5, b=2.5)"),
    ("a field without a default added", slotted, "Slotted(a=1.5)"),
    ("attrs, a field put before the others", cut, "Cut(a=1, b=2)"),
    ("pydantic, one without a default added", row, "Row(a=1)"),
]:
    value, own = read(task)
    check(label, (repr(value), own) == (told, True))

# %%


class Point(typing.NamedTuple):
    lat: float
    lon: float
    height: float = 0.0


@dataclasses.dataclass
class Fit:
    b: float
    a: float
    c: float = 3.0


@dataclasses.dataclass
class Fixed:
    a: float
    b: float


@dataclasses.dataclass(slots=True)
class Slotted:
    unit: str = "m"
    a: float = 0.0
    tags: list = dataclasses.field(default_factory=list)


@attrs.define
class Cut:
    b: int
    a: int
    c: int = 7
    d: list = attrs.Factory(list)


class Row(pydantic.BaseModel):
    c: list = pydantic.Field(default_factory=list)
    a: int
    note: str = "none"


check("a tuple's field added behind, with a default", read(point) == (Point(47.0, 8.5, 0.0), False))
check("fields exchanged, one added with a default", read(fit) == (Fit(a=1.5, b=2.5), False))
check("no slots any more", (str(read(fixed)[0]), read(fixed)[1]) == ("Fixed(a=1.5, b=2.5)", True))
check("slots, some added with defaults", read(slotted) == (Slotted(a=1.5), False))
check("attrs, exchanged, some added", read(cut) == (Cut(a=1, b=2), False))
found, own = read(row)
check("pydantic, some added", (found, own, found.model_dump()) == (Row(a=1), False, {"c": [], "a": 1, "note": "none"}))
found.c.append(1)
check("each has its own", read(row)[0].c == [])


# %%

T = typing.TypeVar("T")


class Item(pydantic.BaseModel):
    x: int


class Page(pydantic.BaseModel, typing.Generic[T]):
    items: list[T]


def pages(page):
    own = Page[Item](items=[Item(x=1)])
    return own, isinstance(page, Page[Item]), isinstance(page, Page), page == own, type(page.items[0]) is Item


page = Page[Item](items=[Item(x=1)])
there = launch(pages, page=page).result()
check("a generic of pydantic", there == (page, True, True, True, True) and type(there[0]) is Page[Item])
