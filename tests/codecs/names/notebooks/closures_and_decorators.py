# recursion, mutual recursion, closures, lambdas, decorators

# %%

import functools


def fact(n):
    return 1 if n < 2 else n * fact(n - 1)


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n != 0 and even(n - 1)


def counter():
    n = 0

    def inc():
        nonlocal n
        n += 1
        return n

    def get():
        return n

    return inc, get


inc, get = counter()
lam = lambda x: x + K
K = 3


def timed(fn):
    @functools.wraps(fn)
    def inner(*a):
        return fn(*a) + 1

    return inner


def bare(fn):
    def inner2(*a):
        return fn(*a) + 2

    return inner2


@timed
def h(x):
    return x


@bare
def h2(x):
    return x


class Deco:
    def __init__(self, fn):
        self.fn = fn

    def __call__(self, *a):
        return self.fn(*a) * 2


@Deco
def h3(x):
    return x


def f():
    inc()
    inc()
    return fact(5), even(10), get(), lam(1), h(1), h2(1), h3(1), [(lambda i=i: i)() for i in range(2)]


r = launch(f).result()
check("all", r == (120, True, 2, 4, 2, 3, 2, [0, 1]))
