# threads

# %%

import threading, pickle, concurrent.futures as cf


class P:
    def __init__(self, n):
        self.n = n


def work(x):
    return type(pickle.loads(pickle.dumps(P(x)))) is P


def f():
    with cf.ThreadPoolExecutor(4) as e:
        return all(e.map(work, range(20))), [P(i) for i in range(100)]


t = launch(f)
with cf.ThreadPoolExecutor(8) as e:
    rs = [x.result() for x in [e.submit(t.result) for _ in range(40)]]
check("in the phase", all(r[0] for r in rs))
check("reading in threads", all(type(x) is P for r in rs for x in r[1]))
