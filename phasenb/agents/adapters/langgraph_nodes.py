"""How far a graph is, from the nodes that started and ended; and whether it has nodes that only an event loop runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from phasenb.dto.phase import Step

_ENDS = ("__start__", "__end__")


class Nodes:
    """The nodes of one run.

    Rule: a node counts as done when it has ended and can't run again: when it neither runs nor comes after one that
    does. So a loop counts when it is left. Edges that a graph does not declare (``Command(goto=...)``) are not seen.
    """

    def __init__(self, graph: Any) -> None:
        self._after = _descendants(graph)
        self._running: Counter[str] = Counter()
        self._ended: set[str] = set()
        self._count = 0

    def started(self, place: tuple[str, ...], name: str) -> Step:
        if not place:
            self._running[name] += 1
        return self._step(place, name, self._running)

    def ended(self, place: tuple[str, ...], name: str) -> Step:
        if not place:
            self._running -= Counter([name])
            self._ended.add(name)
            self._count += 1
        return self._step(place, name, (*self._running, name))

    def _step(self, place: tuple[str, ...], name: str, front: Iterable[str]) -> Step:
        message = " / ".join([*(outer.partition(":")[0] for outer in place), name])
        return Step(percent=self._percent(front), done=self._count or None, message=message)

    def _percent(self, front: Iterable[str]) -> float | None:
        if not self._after:
            return None
        again = set(self._running).union(*(self._after.get(name, ()) for name in front))
        return 100.0 * len(self._ended - again) / len(self._after)


def _descendants(graph: Any) -> dict[str, set[str]]:
    """{node: the nodes that may run after it}; empty for the functional API, which declares none."""
    if getattr(graph, "builder", None) is None:
        return {}
    edges: dict[str, set[str]] = {name: set() for name in graph.nodes if name not in _ENDS}
    for edge in graph.get_graph().edges:
        if edge.source in edges and edge.target in edges:
            edges[edge.source].add(edge.target)
    return {name: _reached(edges, name) for name in edges}


def _reached(edges: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    left = [start]
    while left:
        for name in edges[left.pop()] - found:
            found.add(name)
            left.append(name)
    return found


def needs_loop(graph: Any) -> bool:
    """Whether a node, a condition or a tool of the graph, or of a graph in it, is only async."""
    return any(_only_async(each) for each in _runnables(graph))


def _runnables(graph: Any) -> Iterator[Any]:
    for node in graph.nodes.values():
        yield from _within(node.bound)
    for branches in (getattr(getattr(graph, "builder", None), "branches", None) or {}).values():
        for branch in branches.values():
            yield from _within(branch.path)


def _within(runnable: Any) -> Iterator[Any]:
    yield runnable
    for step in getattr(runnable, "steps", None) or ():
        yield from _within(step)
    tools = getattr(runnable, "tools_by_name", None)
    if isinstance(tools, dict):
        yield from tools.values()
    if isinstance(getattr(runnable, "nodes", None), dict) and hasattr(runnable, "astream"):
        yield from _runnables(runnable)


def _only_async(runnable: Any) -> bool:
    """LangGraph calls the two functions ``func`` and ``afunc``, LangChain's tools ``func`` and ``coroutine``."""
    is_async = getattr(runnable, "afunc", None) or getattr(runnable, "coroutine", None)
    return is_async is not None and getattr(runnable, "func", None) is None
