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
    r = type(e).__name__
check("an open file is refused", r == "PicklingError")
