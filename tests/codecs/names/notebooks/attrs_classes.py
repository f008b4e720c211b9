# classes of attrs

# %%
import attrs


@attrs.define
class Slotted:
    n: int
    tags: list = attrs.field(factory=list)

    def more(self):
        return attrs.evolve(self, n=self.n + 1)

    def owner(self):
        return __class__


@attrs.frozen
class Frozen:
    n: int


def f(slotted, frozen):
    known = slotted == Slotted(1), frozen in {Frozen(2)}, slotted.owner() is Slotted, hasattr(slotted, "__dict__")
    return known, slotted.more(), Frozen(3), type(slotted.more()) is Slotted


task = launch(f, slotted=Slotted(1), frozen=Frozen(2))
known, more, frozen, same = task.result()
check("in the phase", known == (True, True, True, False) and same)
check("back", more == Slotted(2) and frozen == Frozen(3))
keep("task", task)

# %% new kernel
known, more, frozen, same = kept("task").result()
check("in a kernel without them", more.more().n == 3 and frozen.n == 3)
