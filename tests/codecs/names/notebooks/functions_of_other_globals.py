# %run-like: functions of __main__ with other globals

# %%

import types

ns = {"__name__": "__main__", "X": 1}
exec("def other(): return X\nclass O:\n    def m(self): return X", ns)
other, O = ns["other"], ns["O"]
X = 2


def mine():
    return X


def f(o):
    return other(), mine(), isinstance(o, O), o.m(), O()


r = launch(f, o=O()).result()
check("each its globals", r[:4] == (1, 2, True, 1) and type(r[4]) is O)
