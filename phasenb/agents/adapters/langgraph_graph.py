"""LangGraph's graphs as agents: ``pn.launch(graph, **state)``, and ``pn.adapters.langgraph`` for what can't be sent.

Rules: the keys of a graph's input schema are inputs, and what its ``invoke`` returns is the result: the final state. A
StateGraph is compiled first. Of the functional API the entrypoint's argument is the input: by its name, or as a dict of
all keywords. Each node that starts or ends is a step; what nodes write to the stream (``get_stream_writer``) is read as
core.steps reads what a generator yields. A graph with a node that is only async runs in an event loop; the nodes of any
other one run in LangGraph's threads, where a cancel finds them. Each attempt is a thread of its own to a checkpointer.
An interrupt, and the limit of steps, fail the phase in words.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import aclosing, closing, contextmanager
from typing import Any, cast, get_origin, get_type_hints

from phasenb.agents.adapters.langgraph_nodes import Nodes, needs_loop
from phasenb.core.adapting import has_adapter
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.core.steps import Result, WhenCancelled
from phasenb.dto.base import new_ulid
from phasenb.errors import AgentStopped, LaunchError

_MODES = ["tasks", "updates", "custom", "values"]  # releases before 0.5 tell no starts of tasks
_EMPTY = inspect.Parameter.empty
_LEFT_OUT: Any = object()  # the default of a key that the state need not have
_NAME = "LangGraph"  # of a graph that was given none


def langgraph(
    graph_or_factory: Any, config: Mapping[str, Any] | None = None, name: str | None = None, context: Any = None
) -> ExtendedAgent:
    """A LangGraph graph, or a factory (without arguments) of one that can't be sent to a worker, as an agent.

    ``config``: the RunnableConfig of its runs (``recursion_limit``, ``configurable``, ...). ``context``: what its nodes
    get as ``runtime.context``, where it has a ``context_schema``. Raises LaunchError for what is neither.
    """
    options = {} if context is None else {"context": context}
    if has_adapter(graph_or_factory):
        return ExtendedAgent(GraphRun(graph_or_factory, config, options), name=name, inject=())
    if not callable(graph_or_factory):
        raise LaunchError(f"{graph_or_factory!r:.80} is neither a LangGraph graph nor a function that makes one")
    return ExtendedAgent(factory=_Factory(graph_or_factory, config, options), name=name, inject=())


def runnable(graph: Any) -> GraphRun:
    """What runs a graph as it is."""
    return GraphRun(graph)


class GraphRun:
    """A graph as a function of its state's keys: a generator of steps. ``options``: more of its ``stream``'s."""

    def __init__(
        self, graph: Any, config: Mapping[str, Any] | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        self._graph = graph if hasattr(graph, "stream") else graph.compile()
        self._config = dict(config or {})
        self._given = dict(options or {})
        self.name = self.__name__ = getattr(self._graph, "name", None) or _NAME
        self.__signature__, self._whole = _signature(self._graph)

    def __call__(self, /, **state: Any) -> Iterator[Any] | AsyncIterator[Any]:
        whole = self._whole
        given = state[whole] if whole is not None and list(state) == [whole] else state
        told = _Told(self._graph)
        return self._in_loop(given, told) if needs_loop(self._graph) else self._here(given, told)

    def _here(self, given: Any, told: _Told) -> Iterator[Any]:
        from langchain_core.runnables.config import merge_configs

        from phasenb.agents.adapters.langgraph_threads import NodeThreads

        threads = NodeThreads()
        yield WhenCancelled(threads.cancel)
        config = merge_configs(cast(Any, self._run_config()), {"callbacks": [threads]})
        with _limit_in_words(), closing(self._graph.stream(given, config, **self._options())) as parts:
            for part in parts:
                yield from told.items(*part)
        yield told.result()

    async def _in_loop(self, given: Any, told: _Told) -> AsyncIterator[Any]:
        with _limit_in_words():
            async with aclosing(self._graph.astream(given, self._run_config(), **self._options())) as parts:
                async for part in parts:
                    for item in told.items(*part):
                        yield item
        yield told.result()

    def _options(self) -> dict[str, Any]:
        return {**self._given, "stream_mode": _MODES, "output_keys": self._graph.output_channels, "subgraphs": True}

    def _run_config(self) -> dict[str, Any]:
        return {**self._config, "configurable": {"thread_id": new_ulid(), **self._config.get("configurable", {})}}

    def __reduce__(self) -> tuple[Any, ...]:
        return GraphRun, (self._graph, self._config, self._given)


@contextmanager
def _limit_in_words() -> Iterator[None]:
    """Raises AgentStopped for a graph that reaches its limit of steps: another attempt would reach it, too."""
    from langgraph.errors import GraphRecursionError

    try:
        yield
    except GraphRecursionError as error:
        what = str(error).partition(". ")[0]
        raise AgentStopped(
            f"{what}: see that the graph ends, or give it more steps with "
            'pn.adapters.langgraph(graph, config={"recursion_limit": N})'
        ) from error


class _Factory:
    """Makes the graph where phases run."""

    def __init__(self, make: Callable[[], Any], config: Mapping[str, Any] | None, options: Mapping[str, Any]) -> None:
        self._make = make
        self._config = config
        self._options = options
        self.__name__ = getattr(make, "__name__", _NAME)

    def __call__(self) -> GraphRun:
        graph = self._make()
        if not has_adapter(graph):
            raise LaunchError(f"the factory `{self.__name__}` made {graph!r:.80}, which is no LangGraph graph")
        return GraphRun(graph, self._config, self._options)


class _Told:
    """What one run of a graph tells, part by part, as items of core.steps."""

    def __init__(self, graph: Any) -> None:
        self._nodes = Nodes(graph)
        self._interrupted: list[str] = []
        self._questions: list[Any] | None = None
        self._state: Any = None

    def items(self, place: tuple[str, ...], mode: str, payload: Any) -> Iterator[Any]:
        """``place``: the nodes whose subgraph tells it, outermost first, as ``name:id``."""
        if mode == "custom":
            yield payload
        elif mode == "values":
            if not place:
                self._state = payload
        elif mode == "tasks":
            if "input" in payload:
                yield self._nodes.started(place, payload["name"])
            elif payload.get("interrupts"):
                self._interrupted.append(payload["name"])
        elif "__interrupt__" in payload:
            self._questions = [*(self._questions or ()), *(payload["__interrupt__"] if not place else ())]
        else:
            for name in payload:
                if name != "__metadata__":  # of a node whose result was cached
                    yield self._nodes.ended(place, name)

    def result(self) -> Result:
        """Raises AgentStopped for a graph that waits for a person."""
        if self._questions is None:
            return Result(self._state)
        nodes = " and ".join(f"`{name}`" for name in dict.fromkeys(self._interrupted))
        asked = "; ".join(repr(getattr(question, "value", question))[:200] for question in self._questions)
        who = f"the node {nodes}" if nodes else "the graph"
        what = f"asks a person ({asked})" if asked else "stops for a person (interrupt_before or interrupt_after)"
        raise AgentStopped(
            f"{who} {what}, which a phase can't wait for yet: let this graph end there, and make what comes after it a "
            "phase of its own that a person approves, with_options(approve_before=[...])"
        )


# --- inputs ------------------------------------------------------------------------------------------------------


def _signature(graph: Any) -> tuple[inspect.Signature, str | None]:
    """The inputs of a graph as arguments, and the one that is not a key of the input but all of it."""
    builder = getattr(graph, "builder", None)
    if builder is not None:
        schema = getattr(builder, "input_schema", None) or getattr(builder, "input", None)
        keys = _keys(schema)
        if keys is None:
            return _arguments({}, open_=True), "input"
        return _arguments({name: key for name, key in keys.items() if name not in builder.managed}), None
    argument = _entry_argument(graph)
    if argument is None:
        return _arguments({}, open_=True), "input"
    keys = _keys(argument.annotation) if hasattr(argument.annotation, "__total__") else None
    if keys is not None:
        return _arguments({argument.name: (_EMPTY, False), **keys}), argument.name
    open_ = argument.annotation in (_EMPTY, Any) or isinstance(argument.annotation, str) or _is_mapping(argument)
    return _arguments({argument.name: (argument.annotation, not open_)}, open_=open_), argument.name


def _arguments(keys: Mapping[str, tuple[Any, bool]], *, open_: bool = False) -> inspect.Signature:
    found = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=annotation,
            default=_EMPTY if required else _LEFT_OUT,
        )
        for name, (annotation, required) in keys.items()
    ]
    others = [inspect.Parameter("other_keys", inspect.Parameter.VAR_KEYWORD)] if open_ else []
    return inspect.Signature([*found, *others])


def _keys(schema: Any) -> dict[str, tuple[Any, bool]] | None:
    """{name: (annotation, whether there must be one)} of a schema with named fields; None for another one.

    A key of a TypedDict need not be there, whatever it says: LangGraph has no value of it then.
    """
    fields: Iterable[str]
    required: Collection[str] = ()
    if isinstance(models := getattr(schema, "model_fields", None), dict):
        fields, required = models, [name for name, field in models.items() if field.is_required()]
    elif dataclasses.is_dataclass(schema):
        fields = [field.name for field in dataclasses.fields(schema)]
        required = [field.name for field in dataclasses.fields(schema) if _has_no_default(field)]
    elif hasattr(schema, "__total__"):  # as every TypedDict has, whoever's it is
        fields = schema.__annotations__
    else:
        return None
    try:
        hints = get_type_hints(schema, include_extras=True)
    except Exception:  # it evaluates what a person wrote
        hints = {}
    return {name: (hints.get(name, _EMPTY), name in required) for name in fields}


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _entry_argument(graph: Any) -> inspect.Parameter | None:
    """The argument of a functional graph's entrypoint; None for a graph of another kind."""
    if len(graph.nodes) != 1:
        return None
    bound = next(iter(graph.nodes.values())).bound
    function = getattr(bound, "func", None) or getattr(bound, "afunc", None)
    if function is None:
        return None
    try:
        signature = inspect.signature(function, eval_str=True)
    except Exception:  # it evaluates what a person wrote
        signature = inspect.signature(function)
    return next(iter(signature.parameters.values()), None)


def _is_mapping(argument: inspect.Parameter) -> bool:
    kind = get_origin(argument.annotation) or argument.annotation
    return isinstance(kind, type) and issubclass(kind, Mapping)
