"""The embedded host as a script sees it: launch, handle, frames, failures, keys; each script is a real process."""

import pytest


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_a_task_runs_and_stays(script, executor):
    script(f"""
        task = flow.with_options(executor="{executor}").launch(n=21)
        assert task.result() == 42
        assert task.output("planning") == (21, {{1: "int keys and tuples stay"}})
        assert task.artifact("note") == "kept"
        frame = task.results()
        assert list(frame["phase"]) == ["research", "planning", "implementation"]
        assert list(frame["status"]) == ["complete"] * 3
        assert list(task.logs()["text"]) == ["looking"]
        assert list(task.events()["seq"]) == list(range(1, 9))
        assert (task.state, task.percent, task.inputs) == ("completed", 100, {{"n": 21}})
        assert list(pn.memory().tasks().index) == [task.task_id]
    """)
    done = script("""
        task = flow.last()
        assert task.result() == 42
        assert list(pn.tasks().index) == [task.task_id]
        assert pn.task(task.task_id[-6:]).output("research") == {"n": 21}
        assert len(pn.results()) == 3
        print("found again")
    """)
    assert done.stdout == "found again\n"


def test_the_same_key_is_one_task_and_another_session_sees_nothing(script):
    code = """
        task = flow.with_options(executor="inline", key="week").launch(n=1)
        task.wait()
        print(task.task_id)
    """
    assert script(code).stdout == script(code).stdout
    done = script("pn.session('elsewhere')\nprint(len(pn.tasks()), len(pn.tasks(scope='user')))")
    assert done.stdout == "0 1\n"


def test_a_key_that_is_taken_up_again_with_other_inputs_says_which(script):
    code = """
        task = flow.with_options(executor="inline", key="week").launch(n={n})
        task.wait()
    """
    script(code.format(n=1))
    assert "other input" not in (again := script(code.format(n=1))).stderr
    assert "attached: its key was launched before" in again.stderr
    told = script(code.format(n=3)).stderr
    assert 'and other input (n): for these, take another key or if_exists="new"' in told


def test_a_failure_shows_the_persons_own_lines(script):
    done = script("""
        import phasenb.errors

        bad = pn.Workflow("bad")

        @bad.research
        def explore(ctx):
            raise TypeError("no such column")

        task = bad.launch()
        try:
            task.result()
        except pn.TaskFailed as failure:
            assert (failure.phase, failure.attempt, failure.task.task_id) == ("research", 1, task.task_id)
            assert isinstance(failure.__cause__, phasenb.errors.PhaseRaised)
            print(failure)
            print(failure.__cause__.traceback)
        print(task.results().iloc[0][["status", "error_type", "error_message"]].to_list())
    """)
    assert "failed in research, attempt 1: TypeError: no such column" in done.stdout
    assert 'raise TypeError("no such column")' in done.stdout
    assert "['failed', 'TypeError', 'no such column']" in done.stdout
    assert "phasenb/executors" not in done.stdout


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("flow.launch()", "`look`"),
        ("flow.launch(n=1, pth=2)", "`pth`"),
        ("flow.launch(research=1, n=1)", "`research`"),
        ("flow.with_options(exeutor='inline')", "Did you mean `executor`?"),
        ("import threading; lock = threading.Lock()\n"
         "pn.launch(lambda goal: lock, goal=1)", "factory"),
        ("import numpy; big = numpy.zeros(2_000_000)\n"
         "pn.launch(lambda goal: big.sum(), goal=1)", "uses notebook variable `big` (16"),
        ("pn.task('ZZZZZZ')", "there is no task 'ZZZZZZ' here"),
        ("pn.connect('http://127.0.0.1:9/', 'x')", "does not answer"),
    ],
)  # fmt: skip
def test_bad_input_is_told_clearly(script, code, told):
    done = script(code, ok=False)
    assert done.returncode == 1
    assert told in done.stderr.splitlines()[-1]


def test_a_scripts_exit_waits_for_its_live_tasks(script):
    done = script("task = flow.launch(n=100_000)")
    assert "stops with it" in done.stderr
    assert script("print(flow.last().state)").stdout == "completed\n"


def test_a_store_that_is_none_is_an_error_and_stays_as_it_is(script, tmp_path):
    (tmp_path / "store.db").write_bytes(b"these are not pages of a database" * 40)
    done = script("flow.launch(n=1)", ok=False)
    assert "store.db can't be used" in done.stderr.splitlines()[-1]
    assert (tmp_path / "store.db").read_bytes().startswith(b"these are not pages")


def test_run_is_here_and_now_with_real_exceptions(script):
    done = script("""
        assert flow.run(n=4) == 8
        assert len(pn.tasks()) == 0
        print("ran")
    """)
    assert done.stdout == "looking\nran\n"


def test_what_goes_wrong_with_a_message_is_none_of_the_hosts(script):
    done = script("""
        import threading

        client, other = pn.connect(), pn.connect(session="other")
        take, failed, seen = client.on_loop._channel._take, [], threading.Event()

        def fails_once(message):
            if not failed:
                failed.append(message)
                raise ZeroDivisionError("in the client")
            return take(message)

        def raises(task):
            raise ZeroDivisionError("in a callback")

        client.on_loop._channel._take = fails_once
        other.feed(raises)
        other.feed(lambda task: seen.set() if task.state == "completed" else None)
        assert client.launch(flow, n=21).result() == 42
        assert other.launch(flow, n=1).result() == 2
        assert failed and seen.wait(20)
    """)
    assert "ZeroDivisionError: in the client" in done.stderr
    assert "ZeroDivisionError: in a callback" in done.stderr


def test_the_package_under_its_short_name_in_a_phase(script):
    script("""
        def half(ctx):
            yield pn.Step(done=1, total=2)
            yield {"result": pn.__version__}

        def fails():
            raise pn.PhasenbError("of a person")

        assert pn.launch(half).result() == pn.__version__
        try:
            pn.launch(fails).result()
        except pn.TaskFailed as error:
            assert "PhasenbError: of a person" in str(error)
        else:
            raise AssertionError
        assert callable(pn.memory) and len(pn.memory().tasks()) == 2
    """)


def test_an_output_that_does_not_unpickle_says_whose_it_is(script, tmp_path):
    (tmp_path / "faulty.py").write_text("class Faulty:\n    def __reduce__(self):\n        return int, ('x',)\n")
    done = script(f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        import faulty
        import phasenb.errors

        broken = pn.Workflow("broken").with_options(executor="inline")

        @broken.research
        def research():
            return faulty.Faulty()

        @broken.planning
        def planning(research):
            return 1

        task = broken.launch()
        try:
            task.result()
        except pn.errors.TaskFailed as error:
            print(error)
        try:
            task.output("research")
        except ValueError as error:
            assert task.task_id in error.__notes__[0]
            print(error.__notes__[0])
    """)
    failed, noted = done.stdout.splitlines()
    assert "the value `research` can't be loaded" in failed
    assert "pickle.loads(pickle.dumps(" in failed
    assert "importable" not in failed
    assert noted.startswith("phasenb: raised when the output of `research` of task ")
