# pydantic: generic, private attrs, validators using globals, dataclass, in a kernel without

# %%

import pydantic, typing

T = typing.TypeVar("T")
LIM = 3


class G(pydantic.BaseModel, typing.Generic[T]):
    x: T
    _p: int = pydantic.PrivateAttr(4)

    @pydantic.model_validator(mode="after")
    def chk(self):
        assert LIM == 3
        return self


@pydantic.dataclasses.dataclass
class D:
    n: int


class Node(pydantic.BaseModel):
    kids: list["Node"] = []


def f(g):
    return isinstance(g, G), G[int](x="5").x, g._p, D("4"), Node(kids=[{}, {"kids": [{}]}]), G[int](x=1), g


t = launch(f, g=G(x=1))
r = t.result()
check("all", r[:3] == (True, 5, 4) and r[3] == D(4) and type(r[4].kids[1].kids[0]) is Node and type(r[6]) is G)
check("a parametrised model", r[5] == G[int](x=1) and isinstance(r[5], G))
keep("v", t)

# %% new kernel

r = kept("v").result()
check(
    "without the classes",
    r[3].n == 4
    and r[4].model_dump() == {"kids": [{"kids": []}, {"kids": [{"kids": []}]}]}
    and type(r[4])(kids=[{}]).kids[0].kids == [],
)
