# protocols, descriptors, references to oneself

# %%

import typing, abc, pickle, weakref


@typing.runtime_checkable
class Proto(typing.Protocol):
    def v(self): ...


class Desc:
    def __set_name__(self, o, n):
        self.n = n
        self.k = getattr(self, "k", 0) + 1

    def __get__(self, i, o):
        return self.n, self.k


class Node:
    d = Desc()
    reg = {}

    def __init__(self, p=None):
        self.p, self.kids = p, []

    def v(self):
        return self.d


Node.reg["me"] = Node


class WK:
    live = weakref.WeakSet()


def f():
    n = Node()
    n.kids.append(Node(n))
    return isinstance(n, Proto), n.v(), Node.reg["me"] is Node, n


r = launch(f).result()
check("all", r[:3] == (True, ("d", 1), True) and r[3].kids[0].p is r[3])


def g():
    WK.live.add(Node())
    return 1


check("WeakSet in a class", launch(g).result() == 1)
