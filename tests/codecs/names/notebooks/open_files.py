# open files

# %%

f = open(STORE + "/x.txt", "w+")
f.write("a")
f.flush()


def g():
    return f.read()


try:
    launch(g).result()
    r = "sent"
except Exception as e:
    r = str(e)
check("an open file is refused", r == f"an open file, of {STORE}/x.txt")

# %%

import numpy

written = numpy.memmap(STORE + "/x.mm", dtype="f8", mode="w+", shape=3)
written[:] = 1
written.flush()
copied = written.copy()
read = numpy.memmap(STORE + "/x.mm", dtype="f8", mode="r", shape=3)


def write():
    written[0] = 5


def refusal(function):
    try:
        launch(function).result()
    except Exception as error:
        return str(error)
    return "sent"


check("a memory map", refusal(write) == f"a memory map of {STORE}/x.mm, open for writing")
check("a part of one", refusal(lambda part=written[1:]: part) == f"a memory map of {STORE}/x.mm, open for writing")
check("copies of one, and one to read", launch(lambda: (copied.sum(), read.sum())).result() == (3, 3))
