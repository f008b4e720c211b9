# pydantic model

# %%

import pydantic, pickle, typing


class Inner(pydantic.BaseModel):
    x: int = 1


class M(pydantic.BaseModel):
    n: int
    inner: Inner = Inner()
    many: list[Inner] = []

    @pydantic.field_validator("n")
    @classmethod
    def _n(cls, v):
        return v + 1


def f(m):
    return (
        m == M(n=1),
        isinstance(m.inner, Inner),
        M(n=3),
        M.model_validate({"n": 1, "many": [{"x": 5}]}).many[0],
        type(pickle.loads(pickle.dumps(m))) is M,
    )


r = launch(f, m=M(n=1)).result()
check("in", r[:2] == (True, True))
check("out", type(r[2]) is M and r[2] == M(n=3) and type(r[3]) is Inner)
check("pickle in phase", r[4])
