# plain class of the same name, unrelated

# %%


class Model:
    def __init__(self):
        self.w = 1


def f():
    return Model()


keep("a", launch(f))

# %% new kernel


class Model:
    def fit(self):
        return 0


m = kept("a").result()
check("plain classes can't be told apart: it is the reader's", type(m) is Model and vars(m) == {"w": 1})
