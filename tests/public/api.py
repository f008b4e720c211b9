"""What a type checker knows of the public API: read by basedpyright (test_typing.py), never run.

Each line that is wrong says so. An ignore that nothing needs is an error, too, so that no check here can go quiet.
"""

from __future__ import annotations

from typing import assert_type

import phasenb as pn

flow = pn.Workflow("penguins")


@flow.research
def look(path: str) -> int:
    return len(path)


@flow.phase("fit")
def fit(research: int, *, ctx: pn.Context) -> float:
    ctx.update(0.5, "half")
    return research / 2


assert_type(look("x.csv"), int)
assert_type(flow.launch(path="x.csv"), pn.TaskHandle)
assert_type(flow.with_options(name="monday", priority=3).launch(path="x.csv"), pn.TaskHandle)
assert_type(flow.last(), pn.TaskHandle | None)
assert_type(pn.ExtendedAgent(look).launch(path="x.csv"), pn.TaskHandle)
assert_type(pn.launch(look, path="x.csv"), pn.TaskHandle)
assert_type(pn.task("monday"), pn.TaskHandle)
assert_type(pn.last(), pn.TaskHandle | None)
assert_type(pn.connect("http://here").launch(flow), pn.TaskHandle)

flow.launch("x.csv")  # pyright: ignore[reportCallIssue]
flow.with_options(prioriti=3)  # pyright: ignore[reportCallIssue]
flow.with_options(priority="high")  # pyright: ignore[reportArgumentType]
flow.with_options(if_exists="never")  # pyright: ignore[reportArgumentType]
flow.clean  # pyright: ignore[reportAttributeAccessIssue]
pn.task("monday").status  # pyright: ignore[reportAttributeAccessIssue]
pn.cancel(3)  # pyright: ignore[reportArgumentType]
pn.tasks(since=3)  # pyright: ignore[reportArgumentType]


async def remote() -> None:
    async with pn.AsyncClient("http://here", token="t") as client:
        task = await client.launch(flow, path="x.csv")
        await client.cancel(task)
        await client.cancel("monday")
