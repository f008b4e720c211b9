"""Every shape of agent that people have, run by ExtendedAgent as it is."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from phasenb.core.context import Cancelled, Context
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.core.reports import Report
from phasenb.dto.phase import Step
from phasenb.errors import LaunchError

reports: list[Report] = []


def context(**more: Any) -> Context:
    reports.clear()
    return Context(reports.append, store_artifact=None, store_checkpoint=None, interval_s=0.0, **more)  # type: ignore[arg-type]


def steps() -> list[Step]:
    return [report for report in reports if isinstance(report, Step)]


@dataclass
class LegacyStep:
    percent_complete: float
    description: str = ""
    result: Any = None


class Process:
    def process(self) -> Iterator[LegacyStep]:
        yield LegacyStep(0, "begin")
        yield LegacyStep(50, "middle", result={"draft": 1})
        yield LegacyStep(100, "end", result={"final": 2})


class SeedAgent:
    """The seed's shape: an agent whose ``task.process()`` yields steps with ``percent_complete``."""

    def __init__(self) -> None:
        self.task = Process()


class TakesTask:
    def run(self, task: Process) -> Iterator[LegacyStep]:
        return task.process()


class Run:
    def run(self, goal: str, depth: int = 2) -> str:
        return f"{goal}:{depth}"


class AsyncRun:
    async def run(self, goal: str) -> str:
        await asyncio.sleep(0)
        return f"{goal}!"


class Stream:
    def stream(self, goal: str) -> Iterator[Any]:
        yield {"agent": {"thought": goal}}
        yield {"agent": {"answer": 42}}


class AsyncStream:
    async def stream(self, goal: str) -> AsyncIterator[Any]:
        for fraction in (0.5, 1.0):
            await asyncio.sleep(0)
            yield fraction
        yield {"result": goal}


class HandMadeIterator:
    def __init__(self) -> None:
        self.left = [LegacyStep(100, "all", result="made"), LegacyStep(40, "some")]

    def __iter__(self) -> HandMadeIterator:
        return self

    def __next__(self) -> LegacyStep:
        if not self.left:
            raise StopIteration
        return self.left.pop()


class ProcessIterator:
    def process(self) -> HandMadeIterator:
        return HandMadeIterator()


class Called:
    def __call__(self, goal: str) -> list[str]:
        return [goal]


def plain(goal: str) -> str:
    return goal.upper()


def generator(goal: str) -> Iterator[Any]:
    yield 0.5
    yield "half"
    yield Step(done=3, total=4)
    return goal


async def coroutine(goal: str) -> str:
    await asyncio.sleep(0)
    return goal


async def async_generator(goal: str) -> AsyncIterator[Any]:
    yield 0.25
    yield {"progress": 75, "message": "nearly"}
    yield {"percent": 100, "result": goal}


async def returns_generator(goal: str) -> Iterator[Any]:
    return generator(goal)


SHAPES = [
    (SeedAgent(), {"final": 2}, 100.0),
    (Process(), {"final": 2}, 100.0),
    (Process, {"final": 2}, 100.0),
    (TakesTask(), {"final": 2}, 100.0),
    (Run(), "go:2", None),
    (AsyncRun(), "go!", None),
    (Stream(), {"agent": {"answer": 42}}, None),
    (AsyncStream(), "go", 100.0),
    (ProcessIterator(), "made", 100.0),
    (Called(), ["go"], None),
    (plain, "GO", None),
    (functools.partial(plain, goal="bound"), "GO", None),
    (Run().run, "go:2", None),
    (lambda goal: goal * 2, "gogo", None),
    (generator, "go", 75.0),
    (coroutine, "go", None),
    (async_generator, "go", 100.0),
    (returns_generator, "go", 75.0),
]


@pytest.mark.parametrize(("agent", "result", "percent"), SHAPES, ids=lambda shape: getattr(shape, "__name__", None))
def test_every_shape_runs_as_it_is(agent: Any, result: Any, percent: float | None) -> None:
    extended = ExtendedAgent.of(agent)
    assert extended.phases == ("implementation",)
    assert extended.run_phase("implementation", context(), {"goal": "go", "task": Process()}) == result
    told = steps()
    assert (told[-1].percent if told else None) == percent


@pytest.mark.parametrize(("agent", "result", "percent"), SHAPES, ids=lambda shape: getattr(shape, "__name__", None))
def test_and_in_a_thread_whose_loop_runs(agent: Any, result: Any, percent: float | None) -> None:
    async def main() -> Any:
        return ExtendedAgent.of(agent).run_phase("implementation", context(), {"goal": "go", "task": Process()})

    assert asyncio.run(main()) == result


def test_steps_of_the_seed_are_told() -> None:
    ExtendedAgent.of(SeedAgent()).run_phase("implementation", context(), {})
    assert [(step.percent, step.message) for step in steps()] == [(0.0, "begin"), (50.0, "middle"), (100.0, "end")]


class ByPhase:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def run(self, phase: str, goal: str, research: str | None = None) -> str:
        self.seen.append(phase)
        return f"{phase} of {goal} after {research}"


def test_an_agent_that_takes_a_phase_runs_once_for_each() -> None:
    agent = ByPhase()
    extended = ExtendedAgent.of(agent)
    assert extended.phases == ("research", "planning", "implementation")
    values: dict[str, Any] = {"goal": "g"}
    for phase in extended.phases:
        values[phase] = extended.run_phase(phase, context(), values)
    assert agent.seen == list(extended.phases)
    assert values["planning"] == "planning of g after research of g after None"
    assert ExtendedAgent(agent, phases=["one", "two"]).phases == ("one", "two")


def test_phases_map_to_methods_and_functions() -> None:
    class Agent:
        def look(self, goal: str) -> str:
            return goal + "?"

        def build(self, planning: str) -> Iterator[float]:
            yield 0.5
            return planning + "!"

    extended = ExtendedAgent(
        Agent(), phases={"research": "look", "planning": lambda research: research * 2, "implementation": "build"}
    )
    values: dict[str, Any] = {"goal": "g"}
    for phase in extended.phases:
        values[phase] = extended.run_phase(phase, context(), values)
    assert values["implementation"] == "g?g?!"
    spec = extended.spec()
    assert spec.functions["research"].name == "Agent.look"
    assert spec.functions["implementation"].required == ("planning",)


def test_a_mapping_of_functions_needs_no_agent() -> None:
    assert ExtendedAgent(phases={"only": plain}).run_phase("only", context(), {"goal": "x"}) == "X"


def test_a_factory_is_called_where_phases_run_and_once() -> None:
    made: list[Run] = []

    def make_agent() -> Run:
        made.append(Run())
        return made[-1]

    extended = ExtendedAgent(factory=make_agent, phases={"research": "run", "planning": "run"})
    assert not made
    assert not extended.built
    assert "from a factory" in repr(extended)
    assert extended.name == "make_agent"
    assert extended.run_phase("research", context(), {"goal": "x"}) == "x:2"
    assert extended.run_phase("planning", context(), {"goal": "x", "depth": 3}) == "x:3"
    assert len(made) == 1
    assert extended.built


def test_a_factory_may_make_an_extended_agent() -> None:
    extended = ExtendedAgent(factory=lambda: ExtendedAgent(Run()), name="mine")
    assert extended.run_phase("implementation", context(), {"goal": "x"}) == "x:2"
    assert extended.spec().name == "mine"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ExtendedAgent.of(42), "42 is no agent: it can't be called"),
        (lambda: ExtendedAgent(object()), "a object is no agent"),
        (lambda: ExtendedAgent(), "give an agent, or factory="),
        (lambda: ExtendedAgent(plain, factory=plain), "give an agent, or factory="),
        (
            lambda: ExtendedAgent(Run(), phases={"research": "runn"}),
            "mapped to `runn`, which a Run.*Did you mean `run`",
        ),
        (lambda: ExtendedAgent(plain, phases=["a", "b"]), "`plain` takes no `phase` argument"),
        (lambda: ExtendedAgent(plain, phases={"no good": plain}), "'no good' can't be a phase's name"),
        (lambda: ExtendedAgent(factory=lambda: None).spec(), "returned None, not an agent"),
        (lambda: ExtendedAgent(max), "can't tell which arguments `max` takes"),
        (lambda: ExtendedAgent.registered("no_such_module_x:agent"), "can't be imported"),
        (lambda: ExtendedAgent.registered("json:lods"), "has no `lods`.*Did you mean `loads`"),
        (lambda: ExtendedAgent.of(plain).run_phase("implementatoin", context(), {}), "Did you mean `implementation`"),
        (lambda: ExtendedAgent.of(plain).run_phase("implementation", context(), {}), "`plain` asks for `goal`"),
        (lambda: ExtendedAgent.of(plain).with_options(kay="x"), "no option `kay`.*Did you mean `key`"),
        (lambda: ExtendedAgent.of(plain).with_options(approve_befor=["x"]), "Did you mean `approve_before`"),
    ],
)
def test_what_fits_no_shape_is_told_of_by_name(make: Any, words: str) -> None:
    with pytest.raises(LaunchError, match=words):
        make()


def test_registered_agents_are_found_by_name() -> None:
    assert ExtendedAgent.registered("json:dumps").run_phase("implementation", context(), {"obj": [1]}) == "[1]"


def test_results_by_rule() -> None:
    def drive(*items: Any, returns: Any = None) -> Any:
        def agent() -> Iterator[Any]:
            yield from items
            return returns

        return ExtendedAgent.of(agent).run_phase("implementation", context(), {})

    assert drive(0.5, 1.0) is None
    assert drive("a", None, Step(percent=3)) is None
    assert drive({"x": 1}, 0.5, {"y": 2}, "told") == {"y": 2}
    assert drive({"x": 1}, {"result": 5}, {"y": 2}) == 5
    assert drive({"percent": 10, "output": 5}, {"percent": 100, "output": None}) == 5
    assert drive({"result": 5}, returns=0) == 0
    assert drive(7, 8) == 8


def test_what_yields_are_told_as() -> None:
    def agent() -> Iterator[Any]:
        yield 45.0
        yield 1
        yield True
        yield {"percent_complete": 250, "message": 3}
        yield LegacyStep(float("nan"), "odd")  # type: ignore[arg-type]
        yield list(range(100_000))

    ExtendedAgent.of(agent).run_phase("implementation", context(), {})
    assert [(step.percent, step.done, step.message) for step in steps()] == [
        (None, 1.0, "45.0"),
        (None, 2.0, "1"),
        (None, 3.0, "True"),
        (100.0, 3.0, "True"),
        (100.0, 3.0, "odd"),
        (100.0, 4.0, "[0, 1, 2, 3, 4, 5, ...]"),
    ]


def test_an_agents_exception_comes_out_as_it_is() -> None:
    async def agent() -> AsyncIterator[float]:
        yield 0.5
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ExtendedAgent.of(agent).run_phase("implementation", context(), {})


def test_cancel_ends_a_generator_at_its_next_step_and_cleans_up() -> None:
    ctx = context()
    cleaned: list[bool] = []

    def agent() -> Iterator[float]:
        try:
            yield 0.1
            ctx.cancel()
            yield 0.2
            pytest.fail("went on")
        finally:
            cleaned.append(True)

    with pytest.raises(Cancelled):
        ExtendedAgent.of(agent).run_phase("implementation", ctx, {})
    assert cleaned == [True]
    with pytest.raises(Cancelled):
        ExtendedAgent.of(plain).run_phase("implementation", ctx, {"goal": "never starts"})


@pytest.mark.parametrize("nested", [False, True])
def test_cancel_ends_a_coroutine_at_its_await(nested: bool) -> None:
    ctx = context()
    waiting = threading.Event()

    async def agent() -> None:
        waiting.set()
        await asyncio.Event().wait()

    def cancel() -> None:
        waiting.wait(30)
        ctx.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()

    def run() -> Any:
        return ExtendedAgent.of(agent).run_phase("implementation", ctx, {})

    async def main() -> Any:
        return run()

    with pytest.raises(Cancelled):
        asyncio.run(main()) if nested else run()
    thread.join()


class LazyValues(dict[str, Any]):
    """Counts what was asked for: values are decoded on access."""

    def __init__(self, **values: Any) -> None:
        super().__init__(values)
        self.read: list[str] = []

    def __getitem__(self, name: str) -> Any:
        self.read.append(name)
        return super().__getitem__(name)


def test_only_what_a_function_asks_for_is_looked_up() -> None:
    values = LazyValues(goal="x", huge=1, research=2)
    ExtendedAgent.of(plain).run_phase("implementation", context(), values)
    assert values.read == ["goal"]


def test_arguments_of_every_kind() -> None:
    def agent(goal: str, /, ctx: Context, *args: int, depth: int = 2, **rest: Any) -> Any:
        return goal, ctx.phase, args, depth, rest

    spec = ExtendedAgent.of(agent).spec().functions["implementation"]
    assert (spec.required, spec.optional, spec.open) == (("goal",), ("depth",), True)
    values = {"goal": "g", "depth": 5, "a": 1, "research": 2}
    result = ExtendedAgent.of(agent).run_phase("implementation", context(phase="p"), values)
    assert result == ("g", "p", (), 5, {"a": 1, "research": 2})
