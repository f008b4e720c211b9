# async, generators, contextmanager, TypedDict hints, Literal/Annotated aliases, ContextVar default

# %%

import asyncio, contextlib, typing


class P:
    pass


Alias = list[P]
Opt = typing.Optional[P]
Ann = typing.Annotated[P, "x"]


@contextlib.contextmanager
def cm():
    yield P()


async def co():
    await asyncio.sleep(0)
    return P()


def gen():
    yield from (P() for _ in range(2))


def f():
    with cm() as p:
        pass
    return (
        type(asyncio.run(co())) is P,
        [type(x) is P for x in gen()],
        typing.get_args(Alias)[0] is P,
        typing.get_args(Opt)[0] is P,
        Ann.__origin__ is P,
        Alias,
    )


r = launch(f).result()
check("all", r[:5] == (True, [True, True], True, True, True) and r[5] == Alias)
