# cell run again, retry; new kernel

# %%

import enum, dataclasses


class Kind(enum.Enum):
    SMALL = "small"
    LARGE = "large"


@dataclasses.dataclass
class Plan:
    n: int


def plan(n):
    return {"kind": Kind.LARGE, "plan": Plan(n)}


t = launch(plan, n=5)
keep("planning", t)

# %%


class Kind(enum.Enum):
    SMALL = "small"
    LARGE = "large"


@dataclasses.dataclass
class Plan:
    n: int


def act(planning):
    return (
        "large" if planning["kind"] == Kind.LARGE else "small",
        isinstance(planning["plan"], Plan),
        planning["plan"] == Plan(5),
        planning,
    )


r = relaunch(act, planning=t).result()
check("phase 2 after the re-run", r[:3] == ("large", True, True))
o = t.result()
check("reading after the re-run", o["kind"] is Kind.LARGE and o["plan"] == Plan(5))
check("through phase 2", r[3] == o)

# %% new kernel

import enum, dataclasses


class Kind(enum.Enum):
    SMALL = "small"
    LARGE = "large"


@dataclasses.dataclass
class Plan:
    n: int


o = kept("planning").result()
check("new kernel", o["kind"] == Kind.LARGE and o["plan"] == Plan(5) and isinstance(o["plan"], Plan))
