# LangGraph: entrypoint and StateGraph

# %%

import typing
from langgraph.func import entrypoint, task
from langgraph.graph import StateGraph, START, END


class S(typing.TypedDict):
    n: int


def node(s: S):
    return {"n": s["n"] + 1}


@task
def inc(x):
    return x + 1


@entrypoint()
def flow(x):
    return inc(x).result() * 2


g = StateGraph(S)
g.add_node("a", node)
g.add_edge(START, "a")
g.add_edge("a", END)
app = g.compile()


def e():
    return flow.invoke(3)


def s():
    return app.invoke({"n": 1})


check("cell", (e(), s()) == (8, {"n": 2}))
check("entrypoint", launch(e).result() == 8)
check("StateGraph", launch(s).result() == {"n": 2})
