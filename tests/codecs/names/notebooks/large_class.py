# very large class dictionary

# %%

import numpy as np


class Big:
    table = np.zeros(2_000_000)

    def v(self):
        return self.table.sum()


def f():
    return Big()


t = launch(f)
check("read at home", type(t.result()) is Big)
check("small as a value", len(t.data) < 10_000)
keep("big", t)

# %% new kernel

try:
    kept("big").result()
    r = "read"
except AttributeError as e:
    r = str(e)
check("in a kernel without it", "`Big`" in r and "run its cell first" in r)
