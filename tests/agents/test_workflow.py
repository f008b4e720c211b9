"""Workflow: decorators, order, options, hooks, the check of a launch, and running here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasenb.agents.workflow import Workflow
from phasenb.core import launchers
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.core.launch_check import check_launch
from phasenb.core.launchers import set_finder, set_launcher
from phasenb.dto.agent_spec import AgentSpec, FunctionSpec
from phasenb.errors import LaunchError


def penguins() -> Workflow:
    flow = Workflow("penguins")

    @flow.research
    def explore(ctx: Any, path: str) -> dict[str, Any]:
        for _ in ctx.track(range(3), message="reading"):
            pass
        ctx.log("read", path)
        return {"path": path}

    @flow.planning
    def choose(research: dict[str, Any], folds: int = 5) -> tuple[str, int]:
        return research["path"], folds

    @flow.implementation
    def fit(ctx: Any, research: dict[str, Any], planning: tuple[str, int]) -> Iterator[float]:
        yield 0.5
        ctx.artifact("plan", planning)
        return (research, planning)

    return flow


def test_a_decorator_returns_its_function_unchanged() -> None:
    flow = Workflow("w")

    def explore(path: str) -> str:
        return path

    assert flow.research(explore) is explore
    assert flow.phase("planning")(explore) is explore
    assert explore("x") == "x"


def test_default_names_are_in_their_order_and_own_names_in_that_of_decoration() -> None:
    flow = Workflow("w")
    flow.implementation(lambda: 1)
    flow.research(lambda: 1)
    assert flow.phases == ("research", "implementation")
    own = Workflow("w")
    for name in ("extract", "transform", "research"):
        own.phase(name)(lambda: 1)
    own.phase("extract")(lambda: 2)
    assert own.phases == ("extract", "transform", "research")
    assert own.run() == 1
    assert Workflow("w", phases=["b", "a"]).phases == ("b", "a")


def test_decorating_again_replaces_in_place_in_copies_too() -> None:
    flow = penguins()
    copy = flow.with_options(key="k")
    flow.planning(lambda research: "new plan")
    assert flow.phases == ("research", "planning", "implementation")
    assert copy.run(path="p")[1] == "new plan"


def test_repr_shows_the_signatures() -> None:
    assert repr(penguins()) == (
        "Workflow('penguins', research: explore(ctx, path) -> planning: choose(research, folds=...) -> "
        "implementation: fit(ctx, research, planning))"
    )
    assert repr(Workflow("empty")) == "Workflow('empty', no phases yet)"


def test_spec() -> None:
    assert penguins().spec() == AgentSpec(
        name="penguins",
        phases=("research", "planning", "implementation"),
        functions={
            "research": FunctionSpec(name="explore", required=("path",)),
            "planning": FunctionSpec(name="choose", required=("research",), optional=("folds",)),
            "implementation": FunctionSpec(name="fit", required=("research", "planning")),
        },
    )


def test_phase_is_an_ordinary_input_of_a_workflow() -> None:
    flow = Workflow("waves")
    flow.research(lambda phase: phase * 2)
    assert flow.run(phase=1.5) == 3.0


# --- the check of a launch ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "words", "facts"),
    [
        ({}, r"`explore` \(phase research\) needs the input `path`", ("explore", "path", None)),
        ({"pth": 1}, r"no phase takes the input `pth` .*Did you mean `path`\?", ("explore", "pth", "path")),
        ({"path": 1, "fold": 1}, r"the input `fold` .*Did you mean `folds`\?", ("choose", "fold", "folds")),
        ({"path": 1, "research": 2}, "the input `research` has the name of a phase", ("choose", "research", None)),
        ({"path": 1, "ctx": 2}, "an input can't be named `ctx`", (None, "ctx", None)),
        ({"path": 1, "xyz": 2}, "they take `folds`, `path`", ("explore", "xyz", None)),
    ],
)
def test_inputs_that_do_not_fit(inputs: dict[str, Any], words: str, facts: tuple[Any, ...]) -> None:
    with pytest.raises(LaunchError, match=words) as caught:
        check_launch(penguins().spec(), inputs)
    assert (caught.value.function, caught.value.argument, caught.value.nearest) == facts
    with pytest.raises(LaunchError, match=words):
        penguins().run(**inputs)


def test_arguments_of_later_phases_and_of_itself() -> None:
    flow = Workflow("w")
    flow.research(lambda planning: 1)
    flow.planning(lambda: 1)
    with pytest.raises(LaunchError, match="`planning`, the output of a phase that comes later"):
        flow.run()
    flow.research(lambda research: 1)
    with pytest.raises(LaunchError, match="`research`, its own output"):
        flow.run()
    flow.research(lambda: 1)
    flow.planning(lambda reserch: 1)
    with pytest.raises(LaunchError, match=r"needs the input `reserch`.*Did you mean `research`\?"):
        flow.run()


def test_workflows_that_can_not_be_launched() -> None:
    with pytest.raises(LaunchError, match="'empty' has no phases"):
        Workflow("empty").run()
    declared = Workflow("w", phases=["one", "two"])
    declared.phase("one")(lambda: 1)
    with pytest.raises(LaunchError, match="the phase `two` of 'w' has no function"):
        declared.run()
    with pytest.raises(LaunchError, match=r"no phase `tow`.*Did you mean `two`\?"):
        declared.phase("tow")
    with pytest.raises(LaunchError, match="the phase `a` twice"):
        Workflow("w", phases=["a", "b", "a"])
    twice = AgentSpec(name="t", phases=("a", "a"), functions={"a": FunctionSpec(name="f")})
    with pytest.raises(LaunchError, match="the phase `a` twice"):
        check_launch(twice, [])
    named_ctx = AgentSpec(name="t", phases=("ctx",), functions={"ctx": FunctionSpec(name="f")})
    with pytest.raises(LaunchError, match="can't be named `ctx`"):
        check_launch(named_ctx, [])


@pytest.mark.parametrize("name", ["", "1st", "a b", "x" * 65, "naïve", None])
def test_bad_phase_names(name: Any) -> None:
    with pytest.raises(LaunchError, match="can't be a phase's name"):
        Workflow("w", phases=[name])
    with pytest.raises(LaunchError, match="can't be a phase's name"):
        Workflow("w").phase(name)


def test_misuse_of_decorators() -> None:
    flow = Workflow("w")
    with pytest.raises(LaunchError, match=r'@flow.phase\("extract"\)'):
        flow.phase(lambda: 1)  # type: ignore[arg-type]
    with pytest.raises(LaunchError, match="needs a function, not 3"):
        flow.research(3)  # type: ignore[type-var]
    with pytest.raises(LaunchError, match="needs a name"):
        Workflow("")


def test_open_functions_take_any_input() -> None:
    flow = Workflow("w")
    flow.research(lambda **everything: everything)
    flow.planning(lambda research, **everything: everything)
    assert flow.run(a=1, b=2) == {"a": 1, "b": 2}


names = st.sampled_from(["alpha", "beta", "gamma", "ctx", "research", "planning", "implementation", "alpa"])


@given(st.lists(st.sets(names), min_size=3, max_size=3), st.sets(names))
def test_a_launch_that_is_let_through_finds_every_argument(asked: list[set[str]], inputs: set[str]) -> None:
    """Whatever is asked for and given: either a LaunchError names a culprit, or every phase can be called."""
    phases = ("research", "planning", "implementation")
    spec = AgentSpec(
        name="any",
        phases=phases,
        functions={
            phase: FunctionSpec(name=phase, required=tuple(sorted(arguments - {"ctx"})))
            for phase, arguments in zip(phases, asked, strict=True)
        },
    )
    try:
        check_launch(spec, inputs)
    except LaunchError as error:
        assert error.argument in inputs | set().union(*asked)
        assert f"`{error.argument}`" in str(error)
        return
    there = set(inputs)
    for phase in phases:
        assert set(spec.functions[phase].required) <= there
        there.add(phase)
    assert not inputs & {"ctx", *phases}
    assert inputs <= set().union(*(function.required for function in spec.functions.values()))


# --- options and hooks -------------------------------------------------------------------------------------------


def test_launch_and_last_go_through_the_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launchers, "_hooks", {})
    with pytest.raises(LaunchError, match="import phasenb"):
        penguins().launch(path="x")
    calls: list[Any] = []

    def launcher(agent: ExtendedAgent, inputs: Mapping[str, Any], options: Mapping[str, Any]) -> str:
        calls.append((agent.name, dict(inputs), dict(options)))
        return "handle"

    set_launcher(launcher)
    set_finder(lambda agent, options: (agent.name, dict(options)))
    flow = penguins()
    bound = flow.with_options(key="2026-W47", priority=3)
    assert bound.with_options(key="other").launch(path="p", self=1, agent=2) == "handle"
    assert flow.launch(path="p") == "handle"
    assert calls == [
        ("penguins", {"path": "p", "self": 1, "agent": 2}, {"key": "other", "priority": 3}),
        ("penguins", {"path": "p"}, {}),
    ]
    assert bound.last() == ("penguins", {"key": "2026-W47", "priority": 3})
    assert ExtendedAgent.of(len).with_options(name="n").last() == ("len", {"name": "n"})


def test_unknown_options_are_refused_by_name() -> None:
    with pytest.raises(LaunchError, match=r"no option `exectuor`.*Did you mean `executor`\?"):
        penguins().with_options(exectuor="inline")


# --- running here ------------------------------------------------------------------------------------------------


def test_run_returns_the_last_output_and_shows_what_happens(capsys: pytest.CaptureFixture[str]) -> None:
    assert penguins().run(path="p", folds=3) == ({"path": "p"}, ("p", 3))
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert lines[0] == "read p"
    assert [line.partition(" in ")[0] for line in lines[1:]] == [
        "research: complete", "planning: complete", "implementation: complete",
    ]  # fmt: skip


def test_run_passes_values_on_as_they_are_and_raises_what_is_raised() -> None:
    marker = object()
    flow = Workflow("w")
    flow.research(lambda thing: [thing])

    @flow.planning
    def broken(research: list[object]) -> None:
        assert research == [marker]
        raise ZeroDivisionError("here")

    with pytest.raises(ZeroDivisionError, match="here") as caught:
        flow.run(thing=marker)
    assert caught.traceback[-1].name == "broken"


def test_run_where_an_event_loop_runs_as_in_a_notebook() -> None:
    flow = Workflow("w")

    @flow.research
    async def explore(goal: str) -> str:
        await asyncio.sleep(0)
        return goal

    @flow.planning
    async def plan(research: str) -> AsyncIterator[Any]:
        yield 0.5
        await asyncio.sleep(0)
        yield {"result": research + "!"}

    async def cell() -> Any:
        return flow.run(goal="g")

    assert asyncio.run(cell()) == "g!"
    assert flow.run(goal="g") == "g!"


def test_checkpoints_and_artifacts_of_a_local_run() -> None:
    flow = Workflow("w")

    @flow.research
    def explore(ctx: Any) -> Any:
        ctx.checkpoint({"row": 3})
        kept = ctx.artifact("frame", [1, 2, 3])
        return ctx.last_checkpoint, kept.name, kept.preview, ctx.phase

    assert flow.run() == ({"row": 3}, "frame", "[1, 2, 3]", "research")
