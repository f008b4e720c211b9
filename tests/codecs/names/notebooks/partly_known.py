# partly known: base in the phase, subclass not named

# %%


class Base:
    pass


class Sub(Base):
    def v(self):
        return X


X = 1


def one():
    return Sub()


def two(one):
    return isinstance(one, Base), one


t = launch(one)
r = relaunch(two, one=t).result()
check("isinstance of the base", r[0])
check("home again", type(r[1]) is Sub)


def three(one):
    import pickle, copy

    return type(pickle.loads(pickle.dumps(one))).__name__, copy.deepcopy(one).v()


check("pickled in a phase that does not name it", relaunch(three, one=t).result() == ("Sub", 1))
