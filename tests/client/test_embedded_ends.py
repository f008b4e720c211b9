"""What goes wrong while a task runs, as a script sees it: a killed worker, a cancel, an agent without a workflow."""

from textwrap import dedent


def test_a_killed_worker_is_lost_and_its_phase_is_run_again(script):
    script("""
        import os, signal

        def fragile(ctx):
            print(os.getpid())
            while ctx.attempt == 1:
                ctx.update(0.5)
            return "survived"

        quick = {"defaults": {"retry": {"initial_interval": 0}}}
        task = pn.ExtendedAgent(fragile).with_options(executor="process", recovery=quick).launch()
        while (seen := task.logs()).empty:
            pass
        os.kill(int(seen["text"][0]), signal.SIGKILL)
        assert task.result() == "survived"
        frame = task.results()
        assert list(frame["status"]) == ["lost", "complete"], frame
        assert frame["error_type"][0] == "phasenb.WorkerLost"
        assert "SIGKILL" in frame["error_message"][0]
        assert list(task.logs()["attempt"]) == [1, 2]
        assert "phase_retrying" in list(task.events()["type"])
        assert len(task.results(last=True)) == 1
    """)


def test_a_cancel_ends_a_running_phase_and_says_so(script):
    script("""
        import threading, phasenb.errors

        def endless(ctx):
            print("started")
            while True:
                ctx.update(0.5)

        task = pn.ExtendedAgent(endless).with_options(executor="process").launch()
        while task.logs().empty:
            pass
        task.cancel()
        task.cancel()
        try:
            task.result()
        except phasenb.errors.TaskCancelled as error:
            assert task.task_id in str(error)
        assert task.state == "cancelled"
        assert list(task.results()["status"]) == ["cancelled"]
    """)


def test_the_seeds_agent_works_as_it_stands(script):
    agent = dedent("""
        import phasenb as pn

        class Step:
            def __init__(self, percent):
                self.percent_complete = percent
                self.message = f"at {percent}"

        class CiaynAgent:
            def __init__(self, goal):
                self.goal = goal

            def process(self):
                for percent in (25, 50, 100):
                    yield Step(percent)
                return self.goal.upper()
    """)
    code = """
        task = pn.launch(CiaynAgent("tidy up"))
        assert task.result() == "TIDY UP", task.result()
        assert list(task.results()["phase"]) == ["implementation"]
        assert (task.state, task.percent) == ("completed", 100)
    """
    script(code, flow=agent)


def test_an_exit_does_not_wait_for_a_person_and_the_next_process_takes_the_task_up(script):
    first = script("""
        task = flow.with_options(key="gated", approve_before=["planning"]).launch(n=3)
        while task.state != "awaiting_approval":
            pass
    """)
    assert "1 task waits for a person's answer" in first.stderr
    script("""
        task = flow.with_options(key="gated", approve_before=["planning"]).launch(n=3)
        while task.state != "awaiting_approval":
            pass
        task.approve()
        assert task.result() == 6
        assert list(task.results()["phase"]) == ["research", "planning", "implementation"]
    """)


def test_a_host_that_was_stopped_is_not_started_again_by_a_client_that_lost_it(script):
    done = script("""
        import asyncio
        import phasenb.errors
        from phasenb.client.embedded import process_host

        assert flow.with_options(executor="inline").launch(n=1).result() == 2
        host = process_host()
        host.thread.run(host.stop())
        try:
            host.thread.run(host.running())
        except phasenb.errors.ServerUnreachable as error:
            print(error)
    """)
    assert "its host was stopped" in done.stdout
