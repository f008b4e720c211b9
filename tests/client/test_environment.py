"""A launcher's environment variables, as a script and a notebook's kernel see them in their phases."""

import asyncio
import json
import os
import sqlite3
import sys
import textwrap

from phasenb.store.saver import MemorySaver
from tests.client.test_notebook_client import Notebook

FLOW = """
    import os
    import phasenb as pn

    NAMES = ["REGION", "GDAL_DATA", "GONE", "OPENAI_API_KEY", "DB_URL", "PYTHONHASHSEED"]

    flow = pn.Workflow("looks", phases=("look", "fail"))

    @flow.phase("look")
    def look():
        return {name: os.environ.get(name) for name in NAMES}, os.getpid()

    @flow.phase("fail")
    def fail(look, region=None):
        if region is not None and os.environ["REGION"] != region:
            raise ValueError(os.environ["REGION"])
        return look
"""


def test_a_phase_sees_what_the_script_set_also_after_the_first_worker_started(script, tmp_path):
    code = """
        import pathlib

        (first, worker) = flow.launch().result()
        assert first["REGION"] is None and first["GONE"] == "soon", first
        os.environ["REGION"] = "antarctica"
        os.environ["OPENAI_API_KEY"] = "sk-not-to-be-stored"
        os.environ["WHERE_IT_IS"] = "only-an-object"
        os.environ["DB_URL"] = "postgresql://ada:not-to-be-stored@db/x"
        del os.environ["GONE"]
        (second, same) = flow.launch().result()
        assert second == {**dict.fromkeys(NAMES), "REGION": "antarctica"}, second
        assert same == worker
        os.environ["PYTHONHASHSEED"] = "7"
        (third, other) = flow.launch().result()
        assert third["PYTHONHASHSEED"] == "7" and other != worker
        assert flow.with_options(env={"REGION": "arctic"}).launch().result()[0]["REGION"] == "arctic"
        store = pathlib.Path(os.environ["PHASENB_STORE_URL"]).parent
        held = [each for each in store.rglob("*") if each.is_file() and b"not-to-be-stored" in each.read_bytes()]
        assert [each.name for each in held] == ["script.py"], held
        held = [each for each in store.rglob("*") if each.is_file() and b"only-an-object" in each.read_bytes()]
        assert {each.relative_to(store).parts[0] for each in held} == {"script.py", "artifacts"}, held
    """
    told = script(code, flow=FLOW, GONE="soon").stderr
    line = 'phases that need them have them by with_options(secrets=["DB_URL", "OPENAI_API_KEY"])'
    assert told.count(line) == 1, told


def test_a_retry_has_the_launchs_variables_and_one_with_code_the_callers(script):
    code = """
        once = {"defaults": {"retry": {"maximum_attempts": 1}}}
        os.environ["REGION"] = "north"
        task = flow.with_options(show=False, recovery=once).launch(region="south")
        task.wait()
        assert task.failure.error.message == "north", task.failure
        os.environ["REGION"] = "south"
        task.retry()
        task.wait()
        assert task.failure.error.message == "north", "a retry is of the launch, with its variables"
        task.retry(agent=flow)
        assert task.result()[0]["REGION"] == "north", "the first phase was not run again"
        assert task.state == "completed"
    """
    script(code, flow=FLOW)


def test_a_retry_with_code_from_another_process_has_that_ones_variables(script):
    code = """
        once = {"defaults": {"retry": {"maximum_attempts": 1}}}
        task = flow.with_options(show=False, recovery=once).launch(region="south")
        task.wait()
        assert task.failure.error.message == "north", task.failure
        print(task.task_id)
    """
    launched = script(code, flow=FLOW, REGION="north", GDAL_DATA="here").stdout.split()[-1]
    code = f"""
        task = pn.task("{launched}")
        task.retry(agent=flow, from_phase="look")
        seen = task.result()[0]
        assert (seen["REGION"], seen["GDAL_DATA"]) == ("south", None), seen
    """
    script(code, flow=FLOW, REGION="south")


def test_the_notes_name_is_told_once_for_a_session(script):
    code = """
        quiet = flow.with_options(show=False)
        os.environ["A_TOKEN"] = "abcdefgh"
        quiet.launch().result()
        quiet.launch().result()
        os.environ["B_TOKEN"] = "abc"
        quiet.launch().result()
        quiet.with_options(secrets={"A_TOKEN": "env:A_TOKEN"}, env=["B_TOKEN"]).launch().result()
    """
    told = [line for line in script(code, flow=FLOW).stderr.splitlines() if "TOKEN" in line]
    assert len(told) == 2, told
    assert told[0].startswith("phasenb: A_TOKEN looks like a secret and stays behind")
    assert told[1].endswith('with_options(env=["B_TOKEN"])')


def test_a_kernelspecs_variables_and_those_of_cells_on_a_server(jupyter_process, tmp_path):
    spec = tmp_path / "share" / "kernels" / "geo" / "kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    env = {"GDAL_DATA": "/opt/gdal", "PYTHONHASHSEED": "7", "OPENAI_API_KEY": "sk-of-the-spec"}
    spec.write_text(json.dumps({"argv": argv, "display_name": "geo", "env": env}))
    server = jupyter_process(environ={"JUPYTER_PATH": str(tmp_path / "share"), "GONE": "soon"})
    plain, cells = Notebook(server.kernel()), Notebook(server.kernel("two.ipynb", name="geo"))
    for notebook in (plain, cells):
        notebook.run(textwrap.dedent(FLOW) + "quiet = flow.with_options(show=False)")
    plain.run(
        "first = quiet.launch().result()[0]; assert first['GDAL_DATA'] is None and first['GONE'] == 'soon', first"
    )
    cells.run("first, worker = quiet.launch().result()")
    cells.run(
        "assert (first['GDAL_DATA'], first['PYTHONHASHSEED'], first['OPENAI_API_KEY']) == ('/opt/gdal', '7', None)"
    )
    cells.run("%env REGION=antarctica")
    cells.run("del os.environ['GONE']")
    cells.run("second, same = quiet.launch().result(); assert same == worker, 'its worker was warm'")
    cells.run(
        "assert (second['REGION'], second['GONE'], second['GDAL_DATA']) == ('antarctica', None, '/opt/gdal'), second"
    )
    told = [
        m["content"]["text"] for m in cells.messages if m["msg_type"] == "stream" and m["content"]["name"] == "stderr"
    ]
    assert "".join(told).count('with_options(secrets=["OPENAI_API_KEY"])') == 1, told
    task = plain.run("print(quiet.launch().result()[0])")
    assert "'GDAL_DATA': None" in task


def test_the_stored_variables_are_kept_as_long_as_a_task_names_them(script, tmp_path):
    script("flow.launch().result()", flow=FLOW, WHERE_IT_IS="only-an-object")

    def held():
        files = [each for each in (tmp_path / "artifacts").rglob("*") if each.is_file()]
        return [each for each in files if b"only-an-object" in each.read_bytes()]

    async def collected():
        saver = MemorySaver.open(tmp_path / "store.db")
        removed = await saver.collect(86_400)
        await saver.close()
        return removed

    (variables,) = held()
    for path in (tmp_path / "artifacts").rglob("*"):
        os.utime(path, (0, 0))
    asyncio.run(collected())
    assert held() == [variables]
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("DELETE FROM launches")  # as no verb does yet
    connection.close()
    assert asyncio.run(collected()) >= 1
    assert held() == []
