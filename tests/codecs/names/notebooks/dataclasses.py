# dataclass: plain, frozen, slots

# %%

import dataclasses, pickle


@dataclasses.dataclass
class P:
    n: int
    tags: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class F:
    n: int


@dataclasses.dataclass(slots=True, frozen=True)
class S:
    n: int
    m: int = 2


def f(p, s):
    return (
        p == P(1),
        s == S(1),
        isinstance(s, S),
        type(S.__dict__.get("n")).__name__,
        hasattr(s, "__dict__"),
        dataclasses.fields(S)[0].default is dataclasses.MISSING,
        dataclasses.replace(s, n=5) == S(5),
        {F(1): 2},
        S(3),
        hash(F(2)) == hash(F(2)),
    )


r = launch(f, p=P(1), s=S(1)).result()
check("equal in the phase", r[:3] == (True,) * 3)
check("slots kept in the worker", r[3] == "member_descriptor" and not r[4])
check("MISSING kept", r[5])
check("replace", r[6])
check("back", r[7][F(1)] == 2 and r[8] == S(3))
