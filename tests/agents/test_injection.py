"""Arguments called ``ctx`` and ``phase``: whose they are."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NewType, Optional, Protocol, TypeVar

import pytest

from phasenb.agents.local_run import LocalContext
from phasenb.agents.workflow import Workflow
from phasenb.core.context import Context
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.core.launch_check import check_launch
from phasenb.errors import LaunchError

State = TypeVar("State")


class Theirs(Generic[State]):
    """Another library's class, which is often called ``Context`` too."""


class Logs(Protocol):
    def log(self, *parts: object) -> None: ...


class PhaseName(Enum):
    RESEARCH = "research"
    PLANNING = "planning"


class Matter(Enum):
    SOLID = 1
    LIQUID = 2


Voltage = NewType("Voltage", float)


def with_annotation(name: str, annotation: Any, *default: Any) -> Callable[..., Any]:
    """A function with one argument, annotated so."""

    def takes_context(ctx: Any) -> Any:
        return ctx

    def takes_phase(phase: Any) -> Any:
        return phase

    function = takes_context if name == "ctx" else takes_phase
    function.__annotations__ = {} if annotation is ... else {name: annotation}
    function.__defaults__ = default
    return function


OURS = [
    ("ctx", ...),
    ("ctx", ..., None),
    ("ctx", Context),
    ("ctx", "Context"),
    ("ctx", "Context | None", None),
    ("ctx", LocalContext),
    ("ctx", object),
    ("ctx", Any),
    ("ctx", Logs),
    ("ctx", Theirs | Context),
    ("ctx", "OnlyForTypeCheckers"),
    ("ctx", "what: is this"),
    ("phase", ...),
    ("phase", ..., "research"),
    ("phase", ..., None),
    ("phase", str),
    ("phase", "str"),
    ("phase", Optional["str"], None),
    ("phase", Literal["research", "planning"]),
    ("phase", PhaseName),
    ("phase", Annotated[str, "which"]),
]
THEIRS = [
    ("ctx", Theirs),
    ("ctx", "Theirs"),
    ("ctx", Theirs[int]),
    ("ctx", "Theirs[int] | None", None),
    ("ctx", Optional["Theirs"], None),
    ("ctx", Theirs | None, None),
    ("ctx", Annotated[Theirs, "theirs"]),
    ("ctx", Mapping[str, Any]),
    ("ctx", ..., ""),
    ("ctx", ..., 0),
    ("ctx", dict, None),
    ("phase", ..., 0.5),
    ("phase", ..., 0),
    ("phase", ..., ()),
    ("phase", float),
    ("phase", "float | None", None),
    ("phase", Voltage),
    ("phase", "list[float]"),
    ("phase", Literal[1, 2]),
    ("phase", Matter),
]


@pytest.mark.parametrize("argument", OURS, ids=str)
def test_what_may_be_meant_for_phasenb_is_filled(argument: tuple[Any, ...]) -> None:
    extended = ExtendedAgent.of(with_annotation(*argument))
    for phase in extended.phases:
        ctx = LocalContext(phase)
        assert extended.run_phase(phase, ctx, {}) is (ctx if argument[0] == "ctx" else phase)
    assert len(extended.phases) == (1 if argument[0] == "ctx" else 3)


@pytest.mark.parametrize("argument", THEIRS, ids=str)
def test_what_only_looks_like_ours_is_an_input(argument: tuple[Any, ...]) -> None:
    name, own = argument[0], object()
    extended = ExtendedAgent.of(with_annotation(*argument))
    assert extended.phases == ("implementation",)
    function = extended.spec().functions["implementation"]
    assert name in (*function.required, *function.optional)
    check_launch(extended.spec(), {name: own})
    assert extended.run_phase("implementation", LocalContext(), {name: own}) is own
    if len(argument) == 3:
        assert extended.run_phase("implementation", LocalContext(), {}) is argument[2]


def test_a_partial_binds_them_for_good() -> None:
    def agent(phase: str, goal: str) -> str:
        return f"{phase} {goal}"

    bound = ExtendedAgent.of(functools.partial(agent, phase="solid"))
    assert bound.phases == ("implementation",)
    assert bound.run_phase("implementation", LocalContext(), {"goal": "g"}) == "solid g"


class Foreign:
    """As llama-index's Workflow has them."""

    def run(self, goal: str, ctx: Theirs[Any] | None = None, phase: float = 0.5) -> Any:
        return goal, ctx, phase


class CalledWithTheirs:
    def __call__(self, ctx: Theirs[Any] | None = None) -> Any:
        return ctx


def test_methods_and_callable_objects_keep_theirs() -> None:
    assert ExtendedAgent.of(Foreign()).run_phase("implementation", LocalContext(), {"goal": "g"}) == ("g", None, 0.5)
    assert ExtendedAgent.of(CalledWithTheirs()).run_phase("implementation", LocalContext(), {}) is None


def test_inject_says_what_phasenb_fills() -> None:
    def agent(goal: str, ctx: Any = None, phase: str | None = None) -> Any:
        return goal, ctx, phase

    ctx = LocalContext()
    values = {"goal": "g"}
    alone = ExtendedAgent(agent, inject=())
    assert alone.phases == ("implementation",)
    assert alone.run_phase("implementation", ctx, values) == ("g", None, None)
    assert alone.run_phase("implementation", ctx, {**values, "ctx": 1, "phase": 2}) == ("g", 1, 2)
    assert set(alone.described().inputs["properties"]) == {"goal", "ctx", "phase"}  # type: ignore[index]
    half = ExtendedAgent(agent, inject="ctx")
    assert half.phases == ("implementation",)
    assert half.run_phase("implementation", ctx, values) == ("g", ctx, None)
    assert ExtendedAgent(agent).run_phase("planning", ctx, values) == ("g", ctx, "planning")
    mapped = ExtendedAgent(phases={"research": agent}, fallbacks={"research": agent}, inject=())
    assert (
        mapped.run_phase("research", ctx, values) == mapped.run_fallback("research", ctx, values) == ("g", None, None)
    )
    with pytest.raises(LaunchError, match="inject= names 'context': phasenb fills ctx and phase"):
        ExtendedAgent(agent, inject=["context"])


def test_in_a_workflow_a_phase_is_an_input_and_a_foreign_ctx_too() -> None:
    flow = Workflow("w")
    flow.research(lambda phase, ctx: (phase, ctx))
    flow.planning(Foreign().run)
    ran = flow.run(goal="g", phase=0.1)
    assert ran == ("g", None, 0.1)
    with pytest.raises(LaunchError, match="needs the input `phase`"):
        flow.run(goal="g")


def test_an_input_called_ctx_is_refused_where_nobody_has_one() -> None:
    with pytest.raises(LaunchError, match="an input can't be named `ctx`"):
        check_launch(ExtendedAgent.of(lambda ctx, goal: goal).spec(), {"goal": 1, "ctx": 2})


LIBRARY = """
from __future__ import annotations
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from {package} import Context

def run(goal, ctx: Context | None = None):
    return ctx
"""


@pytest.mark.parametrize(("package", "ours"), [("another_library", False), ("phasenb.core.context", True)])
def test_a_name_for_type_checkers_alone_is_of_the_library_that_has_it(
    package: str, ours: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As llama-index's ``Workflow.run(ctx: Context | None = None)``."""
    name = f"library_{ours}"
    (tmp_path / f"{name}.py").write_text(LIBRARY.format(package=package))
    monkeypatch.syspath_prepend(tmp_path)
    ctx = LocalContext()
    extended = ExtendedAgent.of(importlib.import_module(name).run)
    assert extended.run_phase("implementation", ctx, {"goal": "g"}) is (ctx if ours else None)
