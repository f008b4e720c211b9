# subclasses of a library's base, in two attempts: the first one's are gone once they are collected

# %%

import numbers


class Mine(numbers.Number):
    pass


def f():
    Mine
    return [c.__name__ for c in numbers.Number.__subclasses__() if c.__module__ == "__main__"]


def g():
    Mine
    import gc

    gc.collect()
    return [c.__name__ for c in numbers.Number.__subclasses__() if c.__module__ == "__main__"]


launch(f)
check("after gc.collect() one", launch(g).result() == ["Mine"])
