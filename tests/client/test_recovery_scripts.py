"""Recovery as a script sees it, on the embedded host with real workers: gates, rollback, fallback, fix and go on."""

import pytest

PLAN = """
    import phasenb as pn
    import phasenb.errors

    flow = pn.Workflow("plan")
    quick = {"defaults": {"retry": {"maximum_attempts": 1}}}

    @flow.research
    def look(n):
        return {"n": n}

    @flow.planning
    def plan(ctx, research):
        return [research["n"], ctx.feedback]

    @flow.implementation
    def do(planning):
        return planning
"""
EXECUTORS = pytest.mark.parametrize("executor", ["inline", "process"])


@EXECUTORS
def test_a_gate_an_edit_and_a_batch_run_that_does_not_hang(script, executor):
    code = f"""
        gated = flow.with_options(executor="{executor}", approve_before=["implementation"])
        task = gated.launch(n=1)
        try:
            task.result(on_approval="raise")
        except phasenb.errors.ApprovalNeeded as error:
            assert error.phase == "implementation" and "task.approve()" in str(error)
        assert (task.state, task.snapshot.approval.output) == ("awaiting_approval", [1, None])
        task.approve(edit=(2, "mine"), note="better so")
        assert task.result() == (2, "mine")
        frame = task.results()
        assert list(frame[frame["phase"] == "planning"]["revision"]) == [1, 2]
        assert len(task.results(last=True)) == 3
        assert task.output("planning") == (2, "mine")
        try:
            task.approve()
        except phasenb.errors.Conflict as error:
            assert "no approval" in str(error)

        task = gated.launch(n=1)
        try:
            task.result(on_approval="raise")
        except phasenb.errors.ApprovalNeeded:
            task.deny("more", redo="planning")
        try:
            task.result(on_approval="raise")
        except phasenb.errors.ApprovalNeeded:
            task.approve()
        assert task.result() == [1, "more"]
    """
    script(code, flow=PLAN)


@EXECUTORS
def test_fix_and_go_on(script, executor):
    code = f"""
        @flow.implementation
        def do(planning):
            raise KeyError("weight")

        task = flow.with_options(executor="{executor}", recovery=quick).launch(n=3)
        try:
            task.result()
        except phasenb.errors.TaskFailed as error:
            assert error.phase == "implementation"
        assert task.arguments("implementation") == {{"n": 3, "research": {{"n": 3}}, "planning": [3, None]}}
        try:
            task.replay("implementation", agent=flow)
        except KeyError as error:
            assert error.args == ("weight",)

        @flow.implementation
        def do(planning):
            return sum(planning[:1])

        assert task.replay("implementation", agent=flow) == 3

        @flow.implementation
        def told(ctx, planning):
            return [ctx.attempt, ctx.failure.type]

        assert task.replay("implementation", agent=flow) == [task.failure.attempt, "KeyError"]

        @flow.implementation
        def do(planning):
            return sum(planning[:1])

        task.retry(agent=flow)
        assert task.result() == 3
        frame = task.results()
        assert list(frame["phase"]) == ["research", "planning", "implementation", "implementation"]
        assert "task_retried" in list(task.events()["type"])
    """
    script(code, flow=PLAN)


@EXECUTORS
def test_rollback_compensation_and_fallback(script, executor):
    code = f"""
        import pathlib

        @flow.planning
        def plan(ctx, research):
            pathlib.Path("planned").touch()
            return ctx.attempt

        @flow.compensate("planning")
        def unplan(ctx, planning):
            pathlib.Path("planned").unlink()
            print("undone", planning, ctx.failure.type)

        @flow.implementation
        def do(planning):
            if planning == 1:
                raise OSError("the first plan does not work")
            raise ValueError("no plan does")

        @flow.fallback("implementation")
        def simpler(ctx, planning):
            return [planning, ctx.failure.type]

        back = {{"rules": [{{"exception": "OSError", "action": "rollback", "rollback": {{"to": "planning"}}}}]}}
        recovery = {{**quick, "phases": {{"implementation": back}}}}
        task = flow.with_options(executor="{executor}", recovery=recovery).launch(n=3)
        assert task.result() == [3, "ValueError"], task.result()
        assert pathlib.Path("planned").exists()
        assert "undone 1 OSError" in list(task.logs()["text"])
        frame = task.results()
        assert list(frame["kind"]).count("compensation") == 1
        types = list(task.events()["type"])
        assert types.count("phase_rolled_back") == types.count("phase_fallback") == 1
    """
    script(code, flow=PLAN)


def test_a_pause_waits_for_the_attempt_whose_time_runs_out(script):
    code = """
        @flow.planning
        def plan(ctx, research):
            while ctx.attempt == 1:
                pass
            return [ctx.attempt]

        task = flow.with_options(executor="process", timeouts={"attempt": 0.5}, retry=2).launch(n=3)
        while not task.snapshot.running or task.phase != "planning":
            pass
        task.pause()
        while task.snapshot.running:
            pass
        assert task.state == "paused"
        assert task.failure.error.type == "phasenb.AttemptTimeout"
        task.resume()
        assert task.result() == [2]
        assert "phasenb.AttemptTimeout" in list(task.results()["error_type"].dropna())
    """
    script(code, flow=PLAN)


def test_what_a_dead_process_left_behind_is_taken_up_by_the_next(script, tmp_path):
    left = """
        import os, signal, sys

        @flow.planning
        def plan(ctx, research):
            import pathlib, time
            pathlib.Path("planning").touch()
            while not pathlib.Path("go").exists():
                time.sleep(0.01)
            return [research["n"], ctx.attempt]

        import pathlib
        task = flow.with_options(executor="process", key="one").launch(n=5)
        while not pathlib.Path("planning").exists():
            pass
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert script(left, flow=PLAN, ok=False).returncode == -9
    (tmp_path / "go").touch()
    script(
        """
        task = flow.last()
        assert task.result() == [5, 2], task.result()
        assert "task_recovered" in list(task.events()["type"])
        frame = task.results()
        assert list(frame["status"]) == ["complete", "lost", "complete", "complete"]
        assert list(frame["error_type"])[1] == "phasenb.HostLost"
        """,
        flow=PLAN,
    )


def test_what_was_denied_is_nobodys_output_any_more(script):
    script("""
        import time

        @flow.research
        def look(ctx, n):
            if ctx.attempt > 1:
                ctx.update(0.5, "again")
                while not ctx.cancelled:
                    time.sleep(0.02)
            return {"n": n}

        task = flow.with_options(executor="inline", approve_before=["planning"]).launch(n=1)
        while task.state != "awaiting_approval":
            time.sleep(0.02)
        assert task.output("research") == {"n": 1}
        assert task.arguments("planning") == {"n": 1, "research": {"n": 1}}
        task.deny("too few", redo="research")
        while task.snapshot.message != "again":
            time.sleep(0.02)
        again = pn.connect().task(task.task_id)  # which saw nothing of it happen
        for handle in (task, again):
            try:
                handle.output("research")
            except KeyError as error:
                assert "none yet" in str(error)
            else:
                raise AssertionError("an output that was denied")
            assert handle.arguments("planning") == {"n": 1}
            assert len(handle.results()) == 1 and len(handle.results(last=True)) == 0
        assert len(pn.results()) == 1 and len(pn.results(last=True)) == 0
        assert len(pn.memory().results(last=True)) == 0
        task.cancel()
        task.wait()
    """)
