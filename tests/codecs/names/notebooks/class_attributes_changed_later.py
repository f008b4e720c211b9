# class attributes mutated in the notebook

# %%


class M:
    count = 0
    seen = []

    def p(self):
        return "as written"


M.count = 5
M.seen.append("x")
M.p = lambda self: "patched"


def f():
    M.count += 1
    return M.count, M.seen, M().p(), M()


t = launch(f)
M.count = 7
r = t.result()
check("travels as at launch", r[:3] == (6, ["x"], "patched"))
check("reading leaves it alone", (M.count, M.seen) == (7, ["x"]) and type(r[3]) is M)
