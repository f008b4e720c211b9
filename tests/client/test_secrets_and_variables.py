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
