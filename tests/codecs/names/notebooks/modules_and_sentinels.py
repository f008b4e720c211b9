# modules by name; sentinels of libraries and of the notebook

# %%

import dataclasses
import phasenb as pn, langgraph._internal._typing as lt
from langgraph._internal._typing import MISSING
from langgraph.store.base import NOT_PROVIDED

MINE = object()


def f(a, b, c):
    return (
        pn.__version__,
        a is lt.MISSING,
        MISSING is lt.MISSING,
        b is NOT_PROVIDED,
        c is MINE,
        MINE,
        MISSING,
        dataclasses.MISSING,
    )


t = launch(f, a=MISSING, b=NOT_PROVIDED, c=MINE)
r = t.result()
check("pn in a phase", r[0] == pn.__version__)
check("sentinels in", r[1:4] == (True,) * 3)
check("the notebook's own", r[4] and r[5] is MINE)
check("back", r[6] is MISSING and r[7] is dataclasses.MISSING)
