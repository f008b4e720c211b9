# Pool and ProcessPoolExecutor: spawn

# %%

import multiprocessing as mp, concurrent.futures as cf

K = 2


class P:
    def __init__(self, n):
        self.n = n


def work(x):
    return P(x * K)


def init(v):
    global K
    K = v


def f():
    with cf.ProcessPoolExecutor(2, mp_context=mp.get_context("spawn")) as e:
        b = [type(x) is P and x.n for x in e.map(work, [3])]
    with mp.get_context("spawn").Pool(2, init, (5,)) as p:
        a = [type(x) is P and x.n for x in p.map(work, [1, 2])]
    return a, b


check("spawn", launch(f).result() == ([5, 10], [6]))
