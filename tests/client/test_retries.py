"""What is tried again, with real workers and the errors of real libraries, and a retry that is given up."""

FLOW = """
    import pathlib
    import time

    import phasenb as pn
    import phasenb.errors

    flow = pn.Workflow("loads", phases=("load",))
    quick = {"defaults": {"retry": {"initial_interval": 0.01}}}

    def attempts(task):
        task.wait()
        return len(task.results())
"""


def test_a_typo_costs_one_attempt_and_a_lost_connection_three(script):
    code = """
        @flow.phase("load")
        def load(kind):
            import httpx
            import requests

            if kind == "requests":
                requests.get("http://127.0.0.1:1")
            elif kind == "httpx":
                httpx.get("http://127.0.0.1:1")
            elif kind in ("404", "503"):
                response = requests.Response()
                response.status_code = int(kind)
                response.raise_for_status()
            elif kind == "dies":
                import os
                os._exit(3)
            raise {"KeyError": KeyError, "TimeoutError": TimeoutError}[kind]

        fast = flow.with_options(recovery=quick)
        expected = {
            "KeyError": 1, "404": 1, "requests": 3, "httpx": 3, "503": 3, "TimeoutError": 3, "dies": 3,
        }
        found = {kind: attempts(fast.launch(kind=kind)) for kind in expected}
        assert found == expected, found
        assert attempts(fast.with_options(retry=2).launch(kind="KeyError")) == 2
    """
    script(code, flow=FLOW)


def test_a_decorators_own_retry_and_timeout_travel_with_the_code(script):
    code = """
        @flow.phase("load", retry=2, timeout=0.5)
        def load(ctx):
            if ctx.attempt == 1:
                raise KeyError("rows")
            while True:
                time.sleep(0.01)

        task = flow.with_options(recovery=quick).launch()
        task.wait()
        assert list(task.results()["error_type"]) == ["KeyError", "phasenb.AttemptTimeout"]
        try:
            flow.with_options(retries=3)
        except phasenb.errors.LaunchError as error:
            assert "Did you mean `retry`" in str(error), error
    """
    script(code, flow=FLOW)


def test_a_waiting_retry_is_given_up(script):
    code = """
        @flow.phase("load")
        def load():
            raise ConnectionError("the line is dead")

        slow = {"defaults": {"retry": {"initial_interval": "1h"}}}
        task = flow.with_options(recovery=slow).launch()
        while task.state != "retrying":
            time.sleep(0.01)
        failures = task.snapshot.failures
        assert (failures.count, failures.newest.message) == (1, "the line is dead")
        task.give_up()
        task.wait(timeout=30)
        assert (task.state, task.failure.error.type) == ("failed", "ConnectionError")
        assert "retry_given_up" in list(task.events()["type"])

        @flow.fallback("load")
        def kept():
            return "the copy of yesterday"

        task = flow.with_options(recovery=slow).launch()
        while task.state != "retrying":
            time.sleep(0.01)
        task.give_up()
        assert task.result() == "the copy of yesterday"
    """
    script(code, flow=FLOW)


def test_a_script_that_waits_is_told_of_the_first_failure_and_of_no_other(script):
    code = """
        @flow.phase("load")
        def load():
            raise ConnectionError("the line is dead")

        task = flow.with_options(recovery=quick).launch()
        task.wait()
        assert task.snapshot.failures.count == 3
        flow.with_options(retry=1).launch().wait()

        slow = flow.with_options(recovery={"defaults": {"retry": {"initial_interval": "1h"}}}, show=False).launch()
        while slow.state != "retrying":
            time.sleep(0.01)
        assert "ConnectionError: the line is dead" in repr(slow.failure)
        assert slow == pn.task(slow.task_id)
        try:
            slow.wait(timeout=0.1)
        except TimeoutError as error:
            assert "is still waiting to try again after 0.1 s (load failed, attempt 1: ConnectionError" in str(error)
        try:
            slow.wait(timeout="soon")
        except ValueError as error:
            assert "write timeout=60" in str(error), error
        slow.cancel()
    """
    told = [line for line in script(code, flow=FLOW).stderr.splitlines() if "load failed" in line]
    assert len(told) == 2, told  # of the two that were retried
    assert "load failed, attempt 1: ConnectionError: the line is dead; script.py, line" in told[0]
    assert "; attempt 2 of 3, next at " in told[0]


def test_new_code_brings_its_own_retry_and_timeout(script):
    code = """
        def made(**options):
            flow = pn.Workflow("slow", phases=("load",))

            @flow.phase("load", **options)
            def load(ctx):
                if ctx.attempt < 5:
                    while True:
                        time.sleep(0.01)
                return ctx.attempt

            return flow

        def ended(task):
            task.wait()
            return list(task.results()["error_type"].fillna(""))

        limit = "phasenb.AttemptTimeout"
        task = made(timeout=0.2, retry=1).launch()
        assert ended(task) == [limit]
        task.retry(agent=made(timeout=0.3, retry=2))
        assert ended(task) == [limit] * 3
        assert "0.3 s" in task.failure.error.message, task.failure.error.message
        task.retry(agent=made().with_options(timeout=0.2, retry=1))
        assert ended(task) == [limit] * 4
        task.retry(agent=made())  # says nothing: the options of the retry before stay
        assert ended(task) == [limit] * 4 + [""]
        assert task.result() == 5

        task = made().with_options(timeout=0.2, retry=1).launch()  # a launch's own give way to new code's, too
        ended(task)
        task.retry(agent=made(timeout=0.3))
        ended(task)
        assert "0.3 s" in task.failure.error.message, task.failure.error.message

        task = made(timeout=0.2, retry=1).launch()
        ended(task)
        try:
            task.retry(agent=made(timeout="soon"))
        except phasenb.errors.LaunchError as error:
            assert "has a timeout that is not valid: 'soon' is not a duration" in str(error), error
        else:
            raise AssertionError("taken")
        assert task.state == "failed"
    """
    script(code, flow=FLOW)
