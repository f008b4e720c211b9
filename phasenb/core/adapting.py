"""Agents of other libraries that need more than their methods' names: which adapter makes them callable.

Rule: a library is known by the names of its object's classes and never imported to find out; who has such an object has
imported it. The adapter is imported when the first such object comes.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

_GRAPH = "phasenb.agents.adapters.langgraph_graph"
_WORKFLOW = "phasenb.agents.adapters.llama_workflow"
_ADAPTERS = {
    # A class of the library, in the mro of its agents: the module whose ``runnable`` makes one callable.
    ("langgraph.pregel", "Pregel"): _GRAPH,
    ("langgraph.graph.state", "StateGraph"): _GRAPH,
    ("workflows", "Workflow"): _WORKFLOW,
    ("llama_index.core.workflow", "Workflow"): _WORKFLOW,
}
_OF_FACTORY = {_GRAPH: "pn.adapters.langgraph"}
_PACKAGES = frozenset(module.partition(".")[0] for module, _ in _ADAPTERS)


def has_adapter(agent: Any) -> bool:
    return _adapter(agent) is not None


def adapted(agent: Any) -> Any:
    """What runs ``agent``, or itself where no adapter is needed. Raises what the adapter raises."""
    adapter = _adapter(agent)
    if adapter is None:
        return agent
    runnable: Callable[[Any], Any] = import_module(adapter).runnable
    return runnable(agent)


def of_factory(agent: Any) -> str | None:
    """The function of ours that takes a factory of such an agent, where it is not ExtendedAgent."""
    return _OF_FACTORY.get(_adapter(agent) or "")


def _adapter(agent: Any) -> str | None:
    for cls in type(agent).__mro__:
        if cls.__module__.partition(".")[0] in _PACKAGES:
            for (module, name), adapter in _ADAPTERS.items():
                if cls.__name__ == name and f"{cls.__module__}.".startswith(f"{module}."):
                    return adapter
    return None
