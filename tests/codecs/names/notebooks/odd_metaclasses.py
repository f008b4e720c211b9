# odd metaclasses: unhashable classes, singleton metaclass, __call__

# %%


class ME(type):
    def __eq__(cls, o):
        return cls is o

    __hash__ = None


class Sing(type):
    inst = {}

    def __call__(cls, *a):
        if cls not in Sing.inst:
            Sing.inst[cls] = super().__call__(*a)
        return Sing.inst[cls]


class S(metaclass=Sing):
    pass


def g(s):
    return type(s) is S, S() is S()


check("singleton metaclass", launch(g, s=S()).result() == (True, True))


class U(metaclass=ME):
    pass


def f():
    return type(U()).__name__


try:
    r = launch(f).result()
except Exception as e:
    r = repr(e)
check("a class that can't be hashed is refused", "unhashable" in r)
