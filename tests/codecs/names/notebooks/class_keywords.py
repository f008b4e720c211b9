# keywords of a class statement that a library's metaclass takes

# %%

import enum, typing


class Perm(enum.Flag, boundary=enum.KEEP):
    R = 1
    W = 2


class TD(typing.TypedDict, total=False):
    a: int


def f():
    return (Perm.R | Perm(8)).value, TD.__total__, TD.__optional_keys__


r = launch(f).result()
check("class keywords", r == (9, False, frozenset({"a"})))
