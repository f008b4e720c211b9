"""Fallbacks and compensations: registered, checked at launch, packed, run; and the options of a launch."""

from __future__ import annotations

from typing import Any

import pytest

from phasenb.agents.packing import pack
from phasenb.agents.workflow import Workflow
from phasenb.client.launching import _options
from phasenb.codecs.names.reading import read_code
from phasenb.core.context import Context
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.core.launch_check import check_launch
from phasenb.dto.agent_spec import FunctionSpec
from phasenb.dto.values import Artifact
from phasenb.errors import LaunchError


def context() -> Context:
    def no_artifact(name: str, value: Any, codec: str | None) -> Artifact:
        raise AssertionError

    return Context(lambda report: None, store_artifact=no_artifact, store_checkpoint=lambda value: None)


def flow_with_both() -> Workflow:
    flow = Workflow("deploy")

    @flow.fallback("implementation")  # before its phase: a notebook's cells come in any order
    def cached(ctx: Any, planning: str, place: str = "cache") -> str:
        return f"{place}:{planning}"

    @flow.compensate("implementation")
    def undo(implementation: str | None, research: int) -> str:
        return f"undone {implementation} of {research}"

    @flow.research
    def look(goal: int) -> int:
        return goal + 1

    @flow.planning
    def plan(research: int) -> str:
        return f"plan {research}"

    @flow.implementation
    def build(planning: str) -> str:
        return f"built {planning}"

    return flow


VALUES = {"goal": 1, "research": 2, "planning": "plan 2"}


def test_a_decorator_returns_its_function_and_again_replaces() -> None:
    flow = flow_with_both()

    def other(planning: str) -> str:
        return f"other {planning}"

    copy = flow.with_options(key="k")
    assert flow.fallback("implementation")(other) is other
    assert flow.compensate("planning")(other) is other
    assert copy.run_fallback("implementation", context(), VALUES) == "other plan 2"
    assert flow.run(goal=1) == "built plan 2"


def test_a_compensation_asks_for_its_own_phases_output() -> None:
    flow = flow_with_both()
    assert flow.run_compensation("implementation", context(), VALUES) == "undone None of 2"
    done = {**VALUES, "implementation": "it"}
    assert flow.run_compensation("implementation", context(), done) == "undone it of 2"
    assert flow.run_fallback("implementation", context(), {**VALUES, "place": "x"}) == "x:plan 2"

    @flow.compensate("implementation")
    def all_of_it(**values: Any) -> dict[str, Any]:
        return values

    assert flow.run_compensation("implementation", context(), VALUES) == {**VALUES, "implementation": None}
    assert flow.run_compensation("implementation", context(), done) == done


def test_values_that_nobody_asks_for_are_not_looked_up() -> None:
    class Lazy(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            assert name == "planning", "only what is asked for"
            return super().__getitem__(name)

    assert flow_with_both().run_fallback("implementation", context(), Lazy(VALUES)) == "cache:plan 2"


def test_the_spec_names_them() -> None:
    spec = flow_with_both().spec()
    assert spec.fallbacks == {
        "implementation": FunctionSpec(name="cached", required=("planning",), optional=("place",))
    }
    assert spec.compensations == {"implementation": FunctionSpec(name="undo", required=("implementation", "research"))}
    check_launch(spec, ["goal", "place"])  # what only a fallback takes is an input too


def test_packing_takes_them_along() -> None:
    flow = flow_with_both()
    word = "captured"

    @flow.fallback("planning")
    def with_capture() -> str:
        return word

    loaded = read_code(pack(flow))
    assert loaded.spec() == flow.spec()
    assert loaded.run_fallback("planning", context(), VALUES) == "captured"
    assert loaded.run_compensation("implementation", context(), VALUES) == "undone None of 2"


def test_code_of_an_earlier_release_has_neither() -> None:
    flow = flow_with_both()
    state = flow.__getstate__()
    del state["_fallbacks"], state["_compensations"]
    old: Workflow = object.__new__(Workflow)
    old.__setstate__(state)
    assert old.spec().fallbacks == {}
    with pytest.raises(LaunchError, match=r"no fallback for the phase `implementation` \(it has none"):
        old.run_fallback("implementation", context(), VALUES)


class Legacy:
    def explore(self, goal: str) -> str:
        return goal.upper()

    def guess(self, goal: str, phase: str, ctx: Context) -> str:
        return f"{phase}: {goal}?"

    def forget(self, research: str | None) -> str:
        return f"forgot {research}"


@pytest.mark.parametrize("factory", [False, True])
def test_an_agents_methods_and_functions(factory: bool) -> None:
    made: dict[str, Any] = {"factory": Legacy} if factory else {"agent": Legacy()}
    agent = ExtendedAgent(
        **made, phases={"research": "explore"}, fallbacks={"research": "guess"}, compensations={"research": "forget"}
    )
    assert agent.run_fallback("research", context(), {"goal": "x"}) == "research: x?"
    assert agent.run_compensation("research", context(), {"goal": "x"}) == "forgot None"
    check_launch(agent.spec(), ["goal"])
    wrapped = ExtendedAgent(factory=lambda: agent, compensations={"research": lambda: "other"})
    assert wrapped.run_fallback("research", context(), {"goal": "x"}) == "research: x?"
    assert wrapped.run_compensation("research", context(), {}) == "other"


def decorated(kind: str, phase: str, function: Any) -> Workflow:
    flow = flow_with_both()
    getattr(flow, kind)(phase)(function)
    return flow


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: check_launch(decorated("fallback", "planing", lambda: 1).spec(), ["goal"]),
            "is the fallback of the phase `planing`, which 'deploy' does not have.*Did you mean `planning`",
        ),
        (
            lambda: check_launch(decorated("compensate", "research", lambda goall: 1).spec(), ["goal"]),
            r"\(compensation of research\) needs the input `goall`.*Did you mean `goal`",
        ),
        (
            lambda: check_launch(decorated("compensate", "research", lambda planning: 1).spec(), ["goal"]),
            r"\(compensation of research\) asks for `planning`, the output of a phase that comes later",
        ),
        (
            lambda: check_launch(decorated("fallback", "planning", lambda implementation: 1).spec(), ["goal"]),
            r"\(fallback of planning\) asks for `implementation`, the output of a phase that comes later",
        ),
        (lambda: Workflow("w").fallback(print), r"@flow.fallback\(\"extract\"\)"),
        (lambda: Workflow("w", phases=["extract"]).compensate("extrac"), "Did you mean `extract`"),
        (lambda: decorated("fallback", "planning", 3), "needs a function, not 3"),
        (lambda: ExtendedAgent(Legacy(), phases={"a": "explore"}, fallbacks={"a": "gues"}), "Did you mean `guess`"),
    ],
)
def test_what_does_not_fit_is_told_of_by_name(make: Any, words: str) -> None:
    with pytest.raises(LaunchError, match=words):
        make()


# --- the options of a launch -------------------------------------------------------------------------------------


def test_env_is_read_here_and_a_gate_is_one_of_the_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PN_TEST_DEVICES", "0,1")
    given = flow_with_both().with_options(
        env=["PN_TEST_DEVICES"], secrets={"KEY": "env:KEY", "OTHER": "file:~/.key"}, approve_before="planning"
    )
    told = _options({**given.options, "phases": given.phases})
    assert told.env == {"PN_TEST_DEVICES": "0,1"}
    assert told.secrets == {"KEY": "env:KEY", "OTHER": "file:~/.key"}
    assert told.approve_before == ("planning",)
    assert _options({"env": {"A": "1"}}).env == {"A": "1"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"env": ["PN_TEST_DEVICE"]}, "`PN_TEST_DEVICE`, which is not set here.*Did you mean `PN_TEST_DEVICES`"),
        ({"env": 3}, "list of names: 3 is none"),
        ({"env": {"A": "x\0y"}}, "null character"),
        ({"env": {"A": 3}}, "`env.A` is not valid"),
        ({"env": {"A-B": "x"}}, "`env.A-B.* is not valid"),
        ({"approve_before": ["planing"]}, "'planing', which is no phase.*Did you mean `planning`"),
        ({"approve_before": [3]}, "list of names"),
        ({"secrets": ["KEY"]}, "takes the variable `KEY` from here, where it is not set"),
        ({"secrets": {"KEY": "hunter2"}}, "never the secret itself"),
        ({"secrets": {"KEY": "env:hunter-2"}}, "`secrets.KEY` is not valid"),
        ({"secrets": {"KEY": "env:KEY"}, "env": {"KEY": "x"}}, "both in `env` and in `secrets`"),
    ],
)
def test_an_option_that_is_wrong(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], words: str) -> None:
    monkeypatch.setenv("PN_TEST_DEVICES", "0,1")
    with pytest.raises(LaunchError, match=words) as caught:
        _options({**options, "phases": ("research", "planning")})
    assert caught.value.argument is not None
    assert "hunter" not in str(caught.value)
