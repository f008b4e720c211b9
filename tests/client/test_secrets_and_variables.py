"""Variables and secrets as a script sees them, with real workers."""


def test_variables_follow_and_a_missing_secret_waits_for_a_person(script):
    flow = """
        import os, pathlib, time
        import phasenb as pn

        flow = pn.Workflow("asks", phases=("ask",))

        @flow.phase("ask")
        def ask(ctx):
            key = os.environ["API_KEY"]
            print("asked with", key)
            return {"mode": os.environ["MODE"], "told": f"with {key}", "length": len(key)}
    """
    code = """
        os.environ["MODE"] = "fast"
        path = pathlib.Path("key").absolute()
        task = flow.with_options(env=["MODE"], secrets={"API_KEY": f"file:{path}"}).launch()
        del os.environ["MODE"]
        while task.state != "paused":
            time.sleep(0.01)
        error = task.results()["error_message"][0]
        assert "`API_KEY`" in error and "can't be read" in error, error
        path.write_text("sk-very-secret\\n")
        task.resume()
        assert task.result() == {"mode": "fast", "told": "with ***", "length": 14}, task.result()
        assert list(task.results()["status"]) == ["failed", "complete"]
        assert list(task.logs()["text"])[-1] == "asked with ***"
        store = pathlib.Path(os.environ["PHASENB_STORE_URL"]).parent
        held = [each for each in store.rglob("*") if each.is_file() and b"sk-very-secret" in each.read_bytes()]
        assert sorted(each.name for each in held) == ["key", "script.py"], held
    """
    script(code, flow=flow)


def test_whoever_waits_for_a_task_that_needs_a_person_is_told_once_why_and_what_to_do(script):
    flow = """
        import asyncio, os, threading
        import phasenb as pn
        from phasenb.errors import ApprovalNeeded, TaskPaused

        flow = pn.Workflow("asks", phases=("ask", "act"))

        @flow.phase("ask")
        def ask():
            return 1

        @flow.phase("act")
        def act(ask):
            return ask + 1
    """
    code = """
        task = flow.with_options(secrets={"API_KEY": "env:NOT_SET_HERE"}).launch()
        try:
            task.result(on_approval="raise")
        except TaskPaused as error:
            assert "as a secret is missing" in str(error) and "task.resume() tries again" in str(error), error
        else:
            raise AssertionError("it waited")
        try:
            task.wait(timeout=0.2)
        except TimeoutError as error:
            assert "is still paused" in str(error)
        task.cancel()

        gated = flow.with_options(approve_before=["act"]).launch()
        try:
            gated.result(on_approval="raise")
        except ApprovalNeeded:
            gated.pause()
        try:
            gated.result(on_approval="raise")
        except TaskPaused as error:
            assert f"is paused by {gated.snapshot.stopped.by}: task.resume() goes on" in str(error), error
        gated.resume()

        async def awaited():
            asyncio.get_running_loop().call_later(0.2, lambda: threading.Thread(target=gated.approve).start())
            return await gated

        assert asyncio.run(awaited()) == 2
    """
    told = script(code, flow=flow).stderr
    secret, gate = (line for line in told.splitlines() if "Ctrl-C ends this waiting" in line)
    assert "paused, as a secret is missing: the secret `API_KEY` (env:NOT_SET_HERE)" in secret, told
    assert 'waits for approval before act: task.approve() or task.deny("why")' in gate, told


def test_a_rules_name_that_matches_nothing_is_told_at_the_launch(script):
    flow = """
        import phasenb as pn

        flow = pn.Workflow("busy", phases=("act",))

        @flow.phase("act")
        def act(): ...
    """
    code = """
        rules = {"defaults": {"rules": [{"exception": "Busy", "action": "abort"}]}}
        flow.with_options(recovery=rules).launch().result()
    """
    told = script(code, flow=flow).stderr
    assert told.count("phasenb: recovery.defaults.rules.0.exception: `Busy` matches nothing") == 1, told
    assert "`__main__.Busy`" in told


def test_inline_phases_share_the_variables_of_their_process(script):
    flow = """
        import phasenb as pn
        import phasenb.errors

        flow = pn.Workflow("asks", phases=("ask",))

        @flow.phase("ask")
        def ask(): ...
    """
    code = """
        for options in ({"env": {"A": "b"}}, {"secrets": {"A": "env:A"}}):
            try:
                flow.with_options(executor="inline", **options).launch()
            except phasenb.errors.LaunchError as error:
                assert "executor='process'" in str(error)
            else:
                raise AssertionError(options)
    """
    script(code, flow=flow)
