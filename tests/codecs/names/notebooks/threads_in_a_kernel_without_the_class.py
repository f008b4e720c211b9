# values read in threads of a kernel without the class

# %%


class Q:
    def __init__(self, n):
        self.n = n


def f():
    return [Q(i) for i in range(20)]


keep("q", launch(f))

# %% new kernel

import concurrent.futures as cf

with cf.ThreadPoolExecutor(8) as e:
    rs = [x.result() for x in [e.submit(kept("q").result) for _ in range(40)]]
check("one class", len({type(x) for r in rs for x in r}) == 1)
