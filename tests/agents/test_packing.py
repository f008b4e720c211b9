"""Packing: what travels, by which process it can be loaded, and what is said where it can't travel."""

from __future__ import annotations

import base64
import functools
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from langgraph.graph import START, StateGraph

from phasenb.agents.packing import code_json, pack
from phasenb.agents.workflow import Workflow
from phasenb.codecs.names.reading import read_code
from phasenb.core.context import Context
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.errors import CapturedTooLarge, UnpicklableCode


def python(script: Path, *arguments: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=120, cwd=cwd, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


LOADER = """
import base64, sys, traceback
from phasenb.codecs.names.reading import read_code
from phasenb.core.context import Context

agent = read_code(base64.b64decode(sys.stdin.read() if sys.argv[1] == "-" else open(sys.argv[1]).read()))
values = {"path": "abc"}
ctx = Context(print, store_artifact=None, store_checkpoint=None)
for phase in agent.phases:
    try:
        values[phase] = agent.run_phase(phase, ctx, values)
    except ZeroDivisionError:
        traceback.print_exc(file=sys.stdout)
print(values)
"""

LAUNCHER = """
import sys
import helpers                       # a module beside the script goes by name
from phasenb.agents.packing import code_json, pack
from phasenb.agents.workflow import Workflow

FACTOR = 3
flow = Workflow("main")

class Row:
    def __init__(self, text): self.text = text
    def double(self): return [self.text] * 2

def grow(text):                      # a helper of __main__ goes by value, and its global too
    return Row(text * FACTOR).double()

@flow.research
def explore(ctx, path):
    return helpers.shout(grow(path)[0])

@flow.planning
def choose(research):
    return 1 / 0                     # the user's own line

open(sys.argv[1], "w").write(code_json(pack(flow)))
"""


def test_code_of_main_runs_in_another_process_and_tells_its_own_lines(tmp_path: Path) -> None:
    launcher, loader, packed = tmp_path / "launcher.py", tmp_path / "loader.py", tmp_path / "packed"
    launcher.write_text(LAUNCHER)
    loader.write_text(LOADER)
    (tmp_path / "helpers.py").write_text("def shout(text):\n    return text.upper() + '!'\n")
    python(launcher, str(packed))
    launcher.unlink()
    (tmp_path / "helpers.py").write_text("def shout(text):\n    return 'edited ' + text\n")
    told = python(loader, str(packed))
    assert "'research': 'edited abcabcabc'" in told
    assert "return 1 / 0                     # the user's own line" in told
    line = LAUNCHER.splitlines().index("    return 1 / 0                     # the user's own line") + 1
    assert f'File "{launcher}", line {line}, in choose' in told
    text = base64.b64decode(packed.read_text()).decode("latin-1")
    assert "edited" not in text
    assert "open(sys.argv[1]" not in text  # only lines of the functions that travel


CELLS = """
import sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
for cell in open(sys.argv[1]).read().split("# ---"):
    shell.run_cell(cell).raise_error()
"""


def test_cells_travel_with_their_lines(tmp_path: Path) -> None:
    cells, shell, loader, packed = (tmp_path / name for name in ("cells", "shell.py", "loader.py", "packed"))
    shell.write_text(CELLS)
    loader.write_text(LOADER)
    cells.write_text(f"""from phasenb.agents.packing import code_json, pack
from phasenb.agents.workflow import Workflow
flow = Workflow("cells")
# ---
unit = 0
@flow.research
def explore(path):
    return len(path) / unit  # the cell's own line
# ---
open({str(packed)!r}, "w").write(code_json(pack(flow)))
""")
    python(shell, str(cells))
    told = python(loader, str(packed))
    assert "return len(path) / unit  # the cell's own line" in told
    assert "ZeroDivisionError" in told


def test_a_round_trip_keeps_the_agent_and_drops_options() -> None:
    flow = Workflow("w", phases=["a", "b"])
    flow.phase("a")(lambda goal: goal + 1)
    flow.phase("b")(lambda a: a * 2)
    bound = flow.with_options(client=threading.Lock(), key="k")
    loaded = read_code(pack(bound))
    assert isinstance(loaded, Workflow)
    assert (loaded.name, loaded.phases, loaded.options) == ("w", ("a", "b"), {})
    assert loaded.run(goal=1) == 4
    assert bound.options["key"] == "k"
    assert base64.b64decode(code_json(b"\x00\xff")) == b"\x00\xff"


def test_a_factory_travels_unbuilt() -> None:
    class Agent:
        def __init__(self) -> None:
            self.lock = threading.Lock()

        def run(self, goal: str) -> str:
            return goal

    extended = ExtendedAgent(factory=lambda: Agent())
    assert extended.phases == ("implementation",)  # built here: what was made does not travel
    loaded = read_code(pack(extended))
    assert not loaded.built
    ctx = Context(lambda report: None, store_artifact=None, store_checkpoint=None)  # type: ignore[arg-type]
    assert loaded.run_phase("implementation", ctx, {"goal": "g"}) == "g"
    assert read_code(pack(ExtendedAgent(Agent))).name == "Agent"


# --- what can't travel -------------------------------------------------------------------------------------------

lock = threading.Lock()


def flow_of(function: Any) -> Workflow:
    flow = Workflow("w")
    flow.research(function)
    return flow


def test_an_unpicklable_closure_is_named() -> None:
    connection = sqlite3.connect(":memory:")

    def explore() -> Any:
        return connection

    with pytest.raises(UnpicklableCode, match=r"`explore` uses `connection` \(sqlite3.Connection\).*factory") as caught:
        pack(flow_of(explore))
    assert (caught.value.function, caught.value.argument) == ("explore", "connection")
    assert isinstance(caught.value.__cause__, TypeError)
    connection.close()


def test_the_culprit_is_found_in_helpers_and_inside_values() -> None:
    class Model:
        def __init__(self) -> None:
            self.parts = {"weights": [1, lock]}

    model = Model()

    def helper() -> Any:
        return model

    def explore() -> Any:
        return helper()

    with pytest.raises(UnpicklableCode, match=r"`helper` uses `model.parts\['weights'\]\[1\]` \(_thread.lock\)"):
        pack(flow_of(explore))
    with pytest.raises(UnpicklableCode, match=r"`explore` uses `model.parts"):
        pack(flow_of(functools.partial(lambda explore: explore, explore=_named(model))))


def _named(model: Any) -> Any:
    def explore() -> Any:
        return model

    return explore


def test_the_culprit_may_be_a_default_or_the_agent_itself() -> None:
    class Agent:
        def __init__(self) -> None:
            self.client = {"lock": lock}

        def run(self, goal: str) -> str:
            return goal

    with pytest.raises(UnpicklableCode, match=r"the agent 'Agent' has `client\['lock'\]` \(_thread.lock\).*factory="):
        pack(ExtendedAgent(Agent()))

    def explore(guard: Any = lock) -> None: ...

    with pytest.raises(UnpicklableCode, match="`explore` uses `guard`"):
        pack(flow_of(explore))


class Client:
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def run(self, goal: str) -> str:
        return goal

    def plan(self, research: str) -> str:
        return research


@pytest.mark.parametrize(
    ("agent", "factory"),
    [
        (Client(), "pn.ExtendedAgent(factory=lambda: Client(...))"),
        (Client().run, "pn.ExtendedAgent(factory=lambda: Client(...), phases={'implementation': 'run'})"),
        (
            ExtendedAgent(Client(), phases={"research": "run", "planning": "plan"}),
            "pn.ExtendedAgent(factory=lambda: Client(...), phases={'research': 'run', 'planning': 'plan'})",
        ),
    ],
)
def test_the_factory_is_written_out_for_the_agent(agent: Any, factory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    extended = ExtendedAgent.of(agent)
    with pytest.raises(UnpicklableCode) as caught:
        pack(extended)
    assert str(caught.value).endswith(f"make it in the worker, with what it is made of here: {factory}")
    told = getattr(extended.agent, "__self__", extended.agent)
    monkeypatch.setattr(sys.modules["__main__"], "chat", told, raising=False)
    with pytest.raises(UnpicklableCode, match="with what `chat` is made of here: "):
        pack(extended)


def test_a_graph_that_can_not_travel_is_answered_with_its_adapter() -> None:
    def node(state: Any) -> Any:
        return lock

    builder = StateGraph(dict)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    with pytest.raises(UnpicklableCode, match=r"uses `lock` .*pn.adapters.langgraph\(make_graph\)"):
        pack(ExtendedAgent(builder.compile()))


def test_methods_of_an_instances_class_are_looked_into() -> None:
    class Base:
        def help(self) -> Any:
            return lock

    class Agent(Base):
        def run(self) -> Any:
            return self.help()

    with pytest.raises(UnpicklableCode, match=r"`Base.help` uses `lock` \(_thread.lock\)"):
        pack(ExtendedAgent(Agent()))


class Proxy:
    """As some libraries make them: any look at it wakes it up, or fails."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"no context for {name}")


def test_a_proxy_that_fails_on_every_look_is_named() -> None:
    proxy = Proxy()
    with pytest.raises(UnpicklableCode, match="uses `proxy`"):
        pack(flow_of(lambda: proxy))


def test_whatever_a_reduce_raises_is_explained() -> None:
    class Odd:
        def __reduce__(self) -> Any:
            raise RuntimeError("not me")

    odd = Odd()
    with pytest.raises(UnpicklableCode, match=r"uses `odd` .*RuntimeError: not me"):
        pack(flow_of(lambda: odd))


# --- what is too large -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "large",
    [
        pd.DataFrame(np.zeros((1_500_000, 1))),
        pd.Series(np.zeros(1_500_000)),
        np.zeros(1_500_000),
        b"x" * 12_000_000,
        {"nested": [np.zeros(800_000), np.zeros(800_000)]},
    ],
    ids=["frame", "series", "array", "bytes", "nested"],
)
def test_large_variables_are_refused_by_name_before_they_are_pickled(large: Any, monkeypatch: Any) -> None:
    def explore() -> Any:
        return large

    monkeypatch.setattr("phasenb.agents.packing.write_code", None)
    with pytest.raises(CapturedTooLarge) as caught:
        pack(flow_of(explore))
    assert str(caught.value) in {
        f"`explore` uses notebook variable `large` ({size}): pass it, launch(large=large)"
        for size in ("12 MB", "13 MB")
    }
    assert (caught.value.function, caught.value.argument) == ("explore", "large")


def test_a_variable_that_a_query_names_is_seen_as_any_other() -> None:
    names: dict[str, Any] = {"__name__": "__main__", "big": np.zeros(1_500_000)}
    exec("def explore(frame):\n    return frame.query('a in @big')", names)
    with pytest.raises(CapturedTooLarge) as caught:
        pack(flow_of(names["explore"]))
    assert (caught.value.function, caught.value.argument) == ("explore", "big")


class Opaque:
    """Holds bytes in a way that no size can be told from."""

    def __init__(self, size: int) -> None:
        self.hidden = size

    def __reduce__(self) -> Any:
        return bytes, (b"x" * self.hidden,)


def test_large_variables_of_unknown_kind_are_refused_too() -> None:
    opaque = Opaque(20_000_000)

    def helper() -> Any:
        return opaque

    with pytest.raises(CapturedTooLarge, match=r"`helper` uses notebook variable `opaque` \(more than 10 MB\)"):
        pack(flow_of(lambda: helper()))


def test_large_variables_of_an_agents_methods_are_refused() -> None:
    large = np.zeros(3_000_000)

    class Agent:
        def run(self) -> Any:
            return large

    with pytest.raises(CapturedTooLarge, match=r"`Agent.run` uses notebook variable `large` \(24 MB\)"):
        pack(ExtendedAgent(Agent()))


def test_many_that_are_large_together() -> None:
    first, second, third = (np.zeros(600_000) for _ in range(3))
    with pytest.raises(CapturedTooLarge, match=r"variable `\w+` \(5 MB of 14 MB captured; 10 MB may be\)"):
        pack(flow_of(lambda: (first, second, third)))


def test_what_is_used_twice_counts_once_and_a_large_agent_is_no_captured_variable() -> None:
    shared = np.zeros(800_000)

    def first() -> Any:
        return shared

    def second() -> Any:
        return first(), shared

    flow = Workflow("w")
    flow.research(first)
    flow.planning(lambda: second())
    assert len(pack(flow)) < 7_000_000

    class Agent:
        def __init__(self) -> None:
            self.weights = np.zeros(2_000_000)

        def run(self) -> int:
            return len(self.weights)

    assert len(pack(ExtendedAgent(Agent()))) > 16_000_000


def test_what_a_function_only_names_as_an_attribute_is_not_captured() -> None:
    namespace: dict[str, Any] = {"big": b"x" * 20_000_000, "__name__": "__main__"}
    exec("def explore(thing):\n    return thing.big", namespace)
    assert len(pack(flow_of(namespace["explore"]))) < 5_000


def test_what_a_cached_or_dispatching_function_uses_is_refused_by_its_name(tmp_path: Path) -> None:
    lock, notes = threading.Lock(), (tmp_path / "notes").open("w+")

    @functools.cache
    def slow() -> Any:
        return lock

    @functools.singledispatch
    def kind(value: Any) -> Any:
        return value

    @kind.register
    def read(value: int) -> Any:
        return notes

    with pytest.raises(UnpicklableCode, match=r"`slow` uses `lock` \(_thread.lock\), which can't be sent to a worker"):
        pack(flow_of(lambda: slow()))
    with pytest.raises(UnpicklableCode, match=r"`read` uses `notes` .* \(an open file"):
        pack(flow_of(lambda: kind(1)))
