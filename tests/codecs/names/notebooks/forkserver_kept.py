# a fork server that one attempt started serves the next one, with other code

# %%

import multiprocessing as mp


def one(x):
    return x + 1


def f():
    with mp.get_context("forkserver").Pool(1) as p:
        return p.map(one, [1])


check("first", launch(f).result() == [2])


def two(x):
    return x + 2


def g():
    with mp.get_context("forkserver").Pool(1) as p:
        return p.map_async(two, [1]).get(20)


check("second", launch(g).result() == [3])
