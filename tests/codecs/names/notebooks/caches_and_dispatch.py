# cache, lru_cache, partial, singledispatch(method), cached_property

# %%

import functools


@functools.cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


fib(10)


class Sq:
    def __init__(self, n):
        self.n = n

    @functools.lru_cache(maxsize=7)
    def area(self):
        return self.n**2

    @functools.cached_property
    def twice(self):
        return self.n * 2

    @functools.singledispatchmethod
    def m(self, x):
        return "any"

    @m.register
    def _(self, x: int):
        return "int"


@functools.singledispatch
def disp(x):
    return "any"


@disp.register
def _(x: int):
    return "int"


@disp.register(Sq)
def _(x):
    return "sq" + disp(1)


part = functools.partial(fib, 9)


def cached():
    return (
        fib(20),
        fib.cache_info().misses,
        fib.__wrapped__.__globals__["fib"] is fib,
        fib.__name__,
        part(),
        Sq(3).area(),
        Sq.area.cache_parameters()["maxsize"],
    )


def prop():
    return Sq(3).twice


def single():
    return disp("x"), disp(1), disp(Sq(1)), Sq(1).m(1), Sq(1).m("")


check("cache", launch(cached).result() == (6765, 21, True, "fib", 34, 9, 7))
check("cached_property", launch(prop).result() == 6)
check("singledispatch", launch(single).result() == ("any", "int", "sqint", "int", "any"))


def back():
    return fib, Sq(2), disp, [Sq.area]


r = launch(back).result()
check("as values: the notebook's own", r[0] is fib and type(r[1]) is Sq and r[2] is disp and r[3][0] is Sq.area)
