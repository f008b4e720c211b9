"""A notebook's names from real kernels, on a kernel's own host and on a Jupyter server."""

import os
import textwrap

import pytest
from jupyter_client.manager import KernelManager


class Cells:
    def __init__(self, client):
        self._client = client

    def run(self, code):
        """What the cell printed. An error of it is the test's."""
        printed = []

        def take(message):
            if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                printed.append(message["content"]["text"])

        code = textwrap.dedent(code)
        reply = self._client.execute_interactive(code, timeout=90, output_hook=take)["content"]
        assert reply["status"] == "ok", "\n".join(reply.get("traceback", []))
        return "".join(printed)


@pytest.fixture(scope="module", params=["embedded", "server"])
def new_kernel(request, tmp_path_factory):
    """``new_kernel()``: the cells of a new kernel of one notebook."""
    if request.param == "server":
        start, _ = request.getfixturevalue("module_jupyter_process")
        server = start()
        yield lambda: Cells(server.kernel())
        return
    folder = tmp_path_factory.mktemp("embedded")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PHASENB", "JPY"))}
    environ |= {"PHASENB_STORE_URL": str(folder / "store.db"), "JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
    kernels = []

    def start_kernel():
        manager = KernelManager()
        manager.start_kernel(env=environ, cwd=str(folder))
        client = manager.blocking_client()
        client.start_channels()
        kernels.append((manager, client))
        client.wait_for_ready(timeout=60)
        return Cells(client)

    try:
        yield start_kernel
    finally:
        for manager, client in kernels:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def cells(new_kernel):
    """One kernel for the tests that need no new one: each has names of its own."""
    return new_kernel()


CLASSES = """
    import enum, dataclasses
    import phasenb as pn
    class Kind(enum.Enum):
        SMALL = "small"
        LARGE = "large"
    @dataclasses.dataclass
    class Plan:
        n: int
    flow = pn.Workflow("rerun").with_options(show=False)
    @flow.planning
    def plan(n):
        return {"kind": Kind.LARGE, "plan": Plan(n)}
"""
BROKEN = (
    CLASSES
    + """
    @flow.implementation
    def act(planning):
        raise NameError("typo")
"""
)
MENDED = (
    CLASSES
    + """
    @flow.implementation
    def act(planning):
        way = "large way" if planning["kind"] == Kind.LARGE else "small way"
        return way, isinstance(planning["plan"], Plan), planning["plan"] == Plan(5)
"""
)


def test_classes_hold_over_a_rerun_a_retry_a_replay_and_a_new_kernel(new_kernel):
    first = new_kernel()
    task_id = first.run(BROKEN + "\n    t = flow.launch(n=5); t.wait(60); print(t.task_id)").strip()
    told = first.run(MENDED + "\n    t.retry(agent=flow); print(t.result(60))")
    assert told == "('large way', True, True)\n"
    assert first.run("print(t.replay('implementation', agent=flow))") == "('large way', True, True)\n"
    second = new_kernel()
    second.run(MENDED + f"\n    o = pn.task('{task_id}').output('planning')")
    assert second.run("print(o['kind'] == Kind.LARGE, o['plan'] == Plan(5), o)") == (
        "True True {'kind': <Kind.LARGE: 'large'>, 'plan': Plan(n=5)}\n"
    )


def test_pickle_and_joblib_know_the_classes_of_cells_in_a_phase(cells):
    told = cells.run("""
        import copy, joblib, os, pickle, tempfile
        import phasenb as pn
        from sklearn.base import BaseEstimator, TransformerMixin
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer
        class Scale(TransformerMixin, BaseEstimator):
            def fit(self, X, y=None): return self
            def transform(self, X): return X * 2
        def double(X): return X * 2
        class Unnamed:
            pass
        at = tempfile.mkdtemp()
        with open(f"{at}/cell.pkl", "wb") as file: pickle.dump((Scale(), Unnamed()), file)
        def pickles():
            joblib.dump(make_pipeline(Scale()), f"{at}/phase.joblib")
            with open(f"{at}/cell.pkl", "rb") as file: scale, unnamed = pickle.load(file)
            again = pickle.loads(pickle.dumps(FunctionTransformer(double)))
            copied = copy.deepcopy(scale)
            return type(scale) is Scale, type(unnamed).__name__, again.func is double, type(copied) is Scale
        print(pn.launch(pickles).result(60), type(joblib.load(f"{at}/phase.joblib")[0]) is Scale)
    """)
    assert told == "(True, 'Unnamed', True, True) True\n"


def test_caches_dispatch_generics_and_abstract_classes_work_in_a_phase(cells):
    told = cells.run("""
        import abc, functools, typing
        import phasenb as pn
        @functools.cache
        def slow(x): return x + 1
        @functools.singledispatch
        def disp(x): return "any"
        @disp.register
        def _(x: int): return "int"
        T = typing.TypeVar("T")
        class Box(typing.Generic[T]):
            def __init__(self, v): self.v = v
            @functools.cached_property
            def twice(self): return self.v * 2
        class Shape(abc.ABC):
            @abc.abstractmethod
            def area(self): ...
        class Sq(Shape):
            @functools.lru_cache(maxsize=None)
            def area(self): return 4
        def timed(fn):
            @functools.wraps(fn)
            def inner(*a, **k): return fn(*a, **k)
            return inner
        @timed
        def helper(x): return x
        def even(n): return n == 0 or odd(n - 1)
        def odd(n): return n != 0 and even(n - 1)
        def all_of_it(n): return slow(n), disp(n), Box[int](n).twice, Sq().area(), helper(n), even(n)
        print(pn.launch(all_of_it, n=2).result(60), all_of_it(2))
    """)
    assert told == "(3, 'int', 4, 4, 2, True) (3, 'int', 4, 4, 2, True)\n"


def test_hints_and_sources_are_those_of_the_cell(cells):
    told = cells.run("""
        from __future__ import annotations
        import dataclasses, inspect, typing
        import phasenb as pn
        @dataclasses.dataclass
        class Inner:
            x: int
        @dataclasses.dataclass
        class Outer:
            inner: Inner
        class State(typing.TypedDict):
            o: Outer
        def helper(a: Inner) -> Outer: return Outer(a)
        def probe():
            hints = typing.get_type_hints
            found = [hints(Outer)["inner"] is Inner, hints(State)["o"] is Outer, hints(helper)["a"] is Inner]
            return found, inspect.getsource(helper)
        found = pn.launch(probe).result(60)
        print(found, found == probe())
    """)
    source = "def helper(a: Inner) -> Outer: return Outer(a)\n"
    assert told == f"({[True] * 3}, {source!r}) True\n"


def test_reading_a_result_changes_no_class_of_the_notebook(cells):
    told = cells.run("""
        import phasenb as pn
        SCALE = 1
        def helper(): return "of the launch"
        class Model:
            count = 0
            seen = []
            def predict(self): return SCALE, helper()
        def fit(): return Model()
        t = pn.launch(fit)
        t.wait(60)
        SCALE = 10
        def helper(): return "edited since"
        Model.count = 5; Model.seen.append("x"); Model.size = lambda self: "patched"
        m = t.result()
        repr(pn.results()), t._repr_mimebundle_()
        print(type(m) is Model, m.predict(), Model().predict(), Model.count, Model.seen, m.size())
    """)
    assert told == "True (10, 'edited since') (10, 'edited since') 5 ['x'] patched\n"


def test_pn_can_be_used_in_a_phase(cells):
    told = cells.run("""
        import phasenb as pn
        steps = pn.Workflow("steps").with_options(show=False)
        @steps.research
        def research(ctx):
            yield pn.Step(done=1, total=2, message="half")
            return pn.__version__
        def fails():
            raise pn.PhasenbError("said")
        print(steps.launch().result(60) == pn.__version__)
        try:
            pn.launch(fails).result(60)
        except pn.TaskFailed as failed:
            print("PhasenbError: said" in str(failed))
    """)
    assert told == "True\nTrue\n"


def test_langgraph_gives_in_a_phase_what_it_gives_in_the_cell(cells):
    told = cells.run("""
        import typing
        import phasenb as pn
        from langgraph.func import entrypoint, task
        from langgraph.graph import END, START, StateGraph
        class State(typing.TypedDict):
            n: int
        def node(state: State): return {"n": state["n"] + 1}
        @task
        def inc(x): return x + 1
        @entrypoint()
        def entry(x): return inc(x).result() * 2
        graph = StateGraph(State); graph.add_node("a", node); graph.add_edge(START, "a"); graph.add_edge("a", END)
        app = graph.compile()
        def both(): return entry.invoke(3), app.invoke({"n": 1})
        print(both(), pn.launch(both).result(60))
    """)
    assert told == "(8, {'n': 2}) (8, {'n': 2})\n"


def test_magics_in_a_phase_say_what_does_run(cells):
    told = cells.run("""
        import phasenb as pn
        from IPython import get_ipython as imported
        def command():
            !echo hello
        def magic():
            %timeit 1
        def captured():
            lines = !echo hello
            return lines[0]
        def by_hand(): return imported().system("ls")
        def guarded(): return bool(imported())
        for fn in (command, magic, captured, by_hand):
            try:
                print(pn.launch(fn).result(60))
            except pn.TaskFailed as failed:
                print("do not run in a worker: use subprocess.run(...)" in str(failed))
        print(pn.launch(guarded).result(60))
        flow = pn.Workflow("here")
        flow.implementation(captured)
        print(flow.run())
    """)
    assert told == "True\n" * 4 + "False\nhello\n"


def test_an_open_file_is_refused_by_its_name(cells):
    told = cells.run("""
        import tempfile
        import phasenb as pn
        notes = open(tempfile.mkstemp()[1], "w+")
        def reads(): return notes.read()
        try:
            pn.launch(reads)
        except pn.PhasenbError as error:
            print(error.argument, "can't be sent to a worker" in str(error), "an open file" in str(error))
    """)
    assert told == "notes True True\n"


def test_an_agent_is_built_anew_for_each_attempt(cells):
    told = cells.run("""
        import phasenb as pn
        class Counting:
            def __init__(self): self.calls = []
            def process(self, phase):
                self.calls.append(phase)
                return list(self.calls)
        counting = Counting()
        t = pn.launch(counting)
        print(t.result(60), t.output("research"), counting.calls)
        made = pn.ExtendedAgent(factory=Counting).launch()
        print(made.result(60))
    """)
    assert told == "['implementation'] ['research'] []\n['implementation']\n"


INLINE = """
    import dataclasses, sys
    import phasenb as pn

    @dataclasses.dataclass
    class Plan:
        n: int

    SCALE = 2
    main = sys.modules["__main__"]

    def think(n):
        assert sys.modules["__main__"].__file__ == __file__
        return Plan(n * SCALE)

    inline = pn.Workflow("inline").with_options(executor="inline", show=False)
    inline.planning(think)
    inline.implementation(lambda planning: (planning, isinstance(planning, Plan)))
"""


def test_an_inline_task_has_the_classes_of_the_script_and_leaves_its_main_alone(script):
    ran = script(
        """
        task = inline.launch(n=2)
        SCALE = 100
        print(task.result(60), task.output("planning") == Plan(4), type(task.output("planning")) is Plan)
        print(sys.modules["__main__"] is main)
        """,
        flow=INLINE,
    )
    assert ran.stdout == "(Plan(n=4), True) True True\nTrue\n"


def test_what_belongs_to_the_notebook_s_shell_is_named_at_the_launch(cells):
    told = cells.run("""
        import sys
        import phasenb as pn

        ip, saved = get_ipython(), sys.stdout

        def leave():
            exit()

        def ask():
            return ip.user_ns

        def say():
            print("said", file=saved)
            return saved is sys.stdout

        for function in (leave, ask):
            try:
                pn.launch(function)
            except pn.PhasenbError as error:
                print(str(error).replace("\\n", " "))
        def show():
            display({"a": 1})

        for function in (say, show):
            task = pn.launch(function)
            print(task.result(), list(task.logs()["text"]))
    """)
    left, asked, said, shown = told.splitlines()
    assert left.startswith("`leave` uses `exit` (")
    assert "a phase ends when it returns or raises" in left
    assert asked.startswith("`ask` uses `ip` (")
    assert "belong to the notebook and do not run in a worker" in asked
    assert "factory" not in left + asked
    assert said == "True ['said']"
    assert shown == """None ["{'a': 1}"]"""
