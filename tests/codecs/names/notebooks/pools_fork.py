# Pool and ProcessPoolExecutor: fork

# %%

import multiprocessing as mp, concurrent.futures as cf

K = 2


class P:
    def __init__(self, n):
        self.n = n


def work(x):
    return P(x * K)


def f():
    with mp.get_context("fork").Pool(2) as p:
        a = [type(x) is P and x.n for x in p.map(work, [1, 2])]
    with cf.ProcessPoolExecutor(2, mp_context=mp.get_context("fork")) as e:
        b = [x.n for x in e.map(work, [3])]
    return a, b


check("fork", launch(f).result() == ([2, 4], [6]))
