# reading never changes the reader's classes

# %%

SCALE = 1


def helper():
    return "launch"


class Model:
    count = 0

    def predict(self):
        return SCALE, helper()


def fit():
    return Model()


t = launch(fit)
m = t.result()
SCALE = 10


def helper():
    return "edited"


# %%

check("fresh Model", Model().predict() == (10, "edited"))
check("the value read", type(m) is Model and m.predict() == (10, "edited"))
