# what libraries look up, by a text of the caller's, in the caller's frame: pandas' queries, patsy's formulas

# %%

import sys

import numpy as np
import pandas as pd

limit = 2
allowed = ["x", "y"]
frame = pd.DataFrame({"a": [1, 2, 3], "c": ["x", "y", "z"]})


def half(x):
    return x / 2


def over():
    return frame.query("a >= @limit and c in @allowed")["a"].tolist()


def nested():
    return [pick(frame) for pick in (lambda frame: frame.query("a > @limit")["c"].tolist(),)]


def with_attribute():
    return frame.query("a == @frame.a.max()")["a"].tolist()


check("@", launch(over).result() == over() == [2])
check("@ in a function inside", launch(nested).result() == nested() == [["z"]])
check("@ with more behind it", launch(with_attribute).result() == with_attribute() == [3])

# %%


def formula(text, x):
    """As patsy does: the caller's names."""
    frame = sys._getframe(1)
    return eval(text.partition("~")[2], frame.f_globals, {**frame.f_locals, "x": x})


def fit():
    return formula("y ~ np.sqrt(x) + half(x)", 4.0)


check("formula", launch(fit).result() == fit() == 4.0)

# %%

lock = open(sys.executable, "rb")


def mails():
    """Writes to team@lock and @lock."""
    return "me@lock", "lock ~ y", "a.@lock"


check("what is no query takes nothing along", launch(mails).result() == mails())
lock.close()
