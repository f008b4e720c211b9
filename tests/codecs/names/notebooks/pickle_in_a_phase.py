# pickle.dump/load, deepcopy in a phase

# %%

import pickle, copy, dataclasses, enum


@dataclasses.dataclass
class P:
    n: int


class Named(enum.Enum):
    A = 1


class Unnamed:
    def __init__(self):
        self.v = 4


def helper(x):
    return x


open(STORE + "/cell.pkl", "wb").write(pickle.dumps((P(1), helper, Named.A)))
open(STORE + "/cell2.pkl", "wb").write(pickle.dumps(Unnamed()))


def f():
    p, h, k = pickle.load(open("cell.pkl", "rb"))
    q = pickle.loads(pickle.dumps(P(2)))
    pickle.dump(P(3), open("phase.pkl", "wb"))
    return p == P(1), h is helper, k is Named.A, q == P(2), copy.deepcopy(q) == P(2)


check("both ways", launch(f).result() == (True,) * 5)
check("the notebook reads it", pickle.load(open(STORE + "/phase.pkl", "rb")) == P(3))


def g():
    return pickle.load(open("cell2.pkl", "rb")).v


check("a class that the phase does not name", launch(g).result() == 4)
