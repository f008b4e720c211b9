"""``secrets=["NAME"]``: a launcher's own secret, from its cell or script to its phases, and stored nowhere."""

import json
import sqlite3

FLOW = """
    import logging, os, pathlib, stat, sys, time
    import phasenb as pn

    once = {"defaults": {"retry": {"maximum_attempts": 1}}}
    flow = pn.Workflow("asks", phases=("ask", "act"))

    @flow.phase("ask")
    def ask(fail=False):
        key = os.environ["OPENAI_API_KEY"]
        print("asked with", key)
        if fail:
            raise ValueError(f"refused {key}")
        return {"told": f"with {key}", "length": len(key)}

    @flow.phase("act")
    def act(ask):
        return {**ask, "again": len(os.environ["OPENAI_API_KEY"])}

    secret = flow.with_options(secrets=["OPENAI_API_KEY"], recovery=once, show=False)
    store = pathlib.Path(os.environ["PHASENB_STORE_URL"]).parent / "data"
    runtime = pathlib.Path(os.environ["JUPYTER_RUNTIME_DIR"])
    SECRET = "sk-very" + "-secret"

    def kept():
        while True:
            try:
                return [each for each in runtime.rglob("*") if each.is_file() and SECRET.encode() in each.read_bytes()]
            except FileNotFoundError:  # removed while this looked
                continue

    def until(task, state):
        while task.state != state:
            time.sleep(0.01)
"""


def nowhere(tmp_path):
    """The secret is in no file of the test's folder, and in no row."""
    return [
        each for each in tmp_path.rglob("*") if each.is_file() and b"sk-very-secret" in each.read_bytes()
    ] == []  # fmt: skip


def test_a_secret_of_the_script_reaches_its_phases_and_no_store_log_or_output(script, tmp_path):
    code = """
        logging.basicConfig(level=logging.DEBUG)
        import asyncio
        os.environ["PYTHONASYNCIODEBUG"] = "1"
        os.environ["OPENAI_API_KEY"] = SECRET
        os.environ["LITELLM_CONFIG"] = '{"key": "' + SECRET + '"}'
        gated = secret.with_options(approve_before=["act"])
        task = gated.launch()
        until(task, "awaiting_approval")
        (path,) = kept()
        assert path.name == "OPENAI_API_KEY" and path.parent.name == task.task_id
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        del os.environ["OPENAI_API_KEY"]
        task.approve()
        assert task.result() == {"told": "with ***", "length": 14, "again": 14}
        until_gone = time.monotonic() + 20
        while kept():
            assert time.monotonic() < until_gone
        assert SECRET not in repr(task.events().to_dict()) + repr(task.logs().to_dict()) + repr(task.snapshot)
        assert task.snapshot.secrets == ("OPENAI_API_KEY",)
    """
    done = script(code, flow=FLOW)
    assert "sk-very-secret" not in done.stdout + done.stderr
    assert nowhere(tmp_path)
    (body,) = sqlite3.connect(tmp_path / "store.db").execute("SELECT body FROM launches").fetchone()
    assert json.loads(body)["options"]["secrets"] == {"OPENAI_API_KEY": "launcher"}


def test_a_retry_takes_the_callers_and_a_missing_one_waits_for_a_person(script, tmp_path):
    code = """
        os.environ["OPENAI_API_KEY"] = SECRET
        task = secret.launch(fail=True)
        task.wait()
        assert task.failure.error.message == "refused ***"
        waits = secret.with_options(approve_before=["act"]).launch()
        until(waits, "awaiting_approval")
        waits.cancel()
        waits.wait()

        @flow.phase("ask")
        def ask(fail=False):
            return {"length": len(os.environ["OPENAI_API_KEY"])}

        del os.environ["OPENAI_API_KEY"]
        try:
            task.retry(agent=flow)
        except pn.PhasenbError as error:
            assert "task.retry() where it has ended" in str(error), error
        else:
            raise AssertionError("it went without its secret")
        os.environ["OPENAI_API_KEY"] = SECRET + "-2"
        task.retry(agent=flow)
        assert task.result() == {"length": 16, "again": 16}

        del os.environ["OPENAI_API_KEY"]
        waits.retry(from_phase="ask")
        until(waits, "paused")
        error = waits.snapshot.error.error.message
        assert "OPENAI_API_KEY" in error and "task.resume() gives it again" in error, error
        os.environ["OPENAI_API_KEY"] = SECRET + "-23"
        waits.resume()
        until(waits, "awaiting_approval")
        waits.approve()
        assert waits.result() == {"told": "with ***", "length": 17, "again": 17}
    """
    done = script(code, flow=FLOW)
    assert "sk-very-secret" not in done.stdout + done.stderr
    assert nowhere(tmp_path)


def test_a_retry_stores_no_secret_that_only_the_launch_had_named(script, tmp_path):
    code = """
        named = pn.Workflow("named")

        @named.implementation
        def connect():
            raise ValueError(f"no database of this name yet: {len(os.environ['DB_CONN'])}")

        os.environ["DB_CONN"] = SECRET  # a name that doesn't look like a secret's: its launcher says that it is one
        task = named.with_options(secrets=["DB_CONN"], recovery=once, show=False).launch()
        task.wait()

        @named.implementation
        def connect():
            return len(os.environ["DB_CONN"])

        task.retry(agent=named)
        assert task.result() == 14
    """
    script(code, flow=FLOW)
    assert nowhere(tmp_path)


def test_an_empty_variable_is_no_secret_and_the_one_that_the_host_has_stays(script):
    code = """
        os.environ["OPENAI_API_KEY"] = SECRET
        task = secret.with_options(approve_before=["act"]).launch()
        until(task, "awaiting_approval")
        task.pause()
        os.environ["OPENAI_API_KEY"] = ""  # what a template of an environment file leaves
        task.resume()
        until(task, "awaiting_approval")
        task.approve()
        assert task.result() == {"told": "with ***", "length": 14, "again": 14}

        os.environ["OPENAI_API_KEY"] = SECRET
        failed = secret.launch(fail=True)
        failed.wait()
        os.environ["OPENAI_API_KEY"] = "short"
        failed.retry()
        until(failed, "paused")
        assert "task.resume() gives it again" in failed.snapshot.error.error.message
        failed.cancel()
    """
    script(code, flow=FLOW)


def test_the_next_host_of_this_machine_still_has_it(script, tmp_path):
    begins = """
        os.environ["OPENAI_API_KEY"] = SECRET
        task = secret.with_options(approve_before=["act"], key="k").launch()
        until(task, "awaiting_approval")
        os._exit(0)
    """
    goes_on = """
        (task,) = [pn.task(each) for each in pn.tasks().index]
        assert len(kept()) == 1
        task.approve()
        assert task.result() == {"told": "with ***", "length": 14, "again": 14}
    """
    script(begins, flow=FLOW)
    assert not nowhere(tmp_path)
    script(goes_on, flow=FLOW)
    assert nowhere(tmp_path)


def test_what_can_be_no_secret_is_told_before_anything_is_sent(script):
    code = """
        import phasenb.errors
        os.environ["SHORT"] = "abc"
        for wanted, told in (
            (["NOT_SET_ANYWHERE"], "os.environ['NOT_SET_ANYWHERE'] = getpass.getpass() sets it"),
            (["SHORT"], 'env=["SHORT"]'),
            ({"OPENAI_API_KEY": SECRET}, 'where `OPENAI_API_KEY` is found, "launcher", "env:NAME" or "file:PATH"'),
            ([7], "list of names"),
            (["PATH"], "PATH, which is what a phase's process needs"),
        ):
            try:
                flow.with_options(secrets=wanted).launch()
            except phasenb.errors.LaunchError as error:
                assert told in str(error) and SECRET not in str(error), error
            else:
                raise AssertionError(wanted)
        assert not kept()
    """
    script(code, flow=FLOW)


def test_one_of_the_launcher_stands_beside_one_of_the_host(script, tmp_path):
    (tmp_path / "key").write_text("of-the-host")
    code = """
        both = pn.Workflow("both", phases=("look",))

        @both.phase("look")
        def look():
            return [len(os.environ["OPENAI_API_KEY"]), len(os.environ["OTHER"])]

        os.environ["OPENAI_API_KEY"] = SECRET
        sources = {"OPENAI_API_KEY": "launcher", "OTHER": f"file:{pathlib.Path('key').absolute()}"}
        assert both.with_options(secrets=sources).launch().result() == [14, 11]
        assert both.with_options(secrets="OPENAI_API_KEY", env={"OTHER": "x"}).launch().result() == [14, 1]
    """
    script(code, flow=FLOW)


HOLDS = """
    import os
    import phasenb as pn

    os.environ["BANK_TOKEN"] = "bt-very" + "-secret-1"
    API = {"headers": [os.environ["BANK_TOKEN"]]}
    flow = pn.Workflow("pays", phases=("pay",)).with_options(show=False)

    @flow.phase("pay")
    def pay():
        return len(API["headers"][0])
"""


def test_a_variable_of_the_code_that_holds_a_named_secret_is_refused(script):
    code = """
        try:
            flow.with_options(secrets=["BANK_TOKEN"]).launch()
        except pn.PhasenbError as error:
            print(error)
    """
    told = script(code, HOLDS)
    assert told.stdout == (
        "`API`, which `pay` uses, holds the secret BANK_TOKEN, and code is stored with what it uses: read it in the "
        "phase, os.environ['BANK_TOKEN']\n"
    )


def test_of_one_that_holds_what_looks_like_a_secret_there_is_a_note(script):
    told = script("print(flow.launch().result())", HOLDS)
    assert told.stdout == "16\n"
    assert "holds the value of BANK_TOKEN, which is stored with the code: read it in the phase" in told.stderr
