# unrelated class of the same name in the reader

# %%

import dataclasses, enum


@dataclasses.dataclass
class Config:
    host: str


class Result(enum.Enum):
    OK = 1


def f():
    return Config("h"), Result.OK


keep("v", launch(f))

# %% new kernel

import dataclasses, warnings


@dataclasses.dataclass
class Config:
    depth: int


def Result(x):
    return x


Result.mark = 1
with warnings.catch_warnings(record=True) as w:
    warnings.simplefilter("always")
    c, r = kept("v").result()
    w = [x for x in w if x.category is UserWarning]
check("not confused", not isinstance(c, Config) and c.host == "h" and r.name == "OK")
check("the reader's stay", Config(1).depth == 1 and Result(2) == 2)
check("a word is said", len(w) == 2)
