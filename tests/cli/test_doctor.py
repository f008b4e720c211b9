"""`phasenb doctor`: what is wrong is told with what to do, and ends with 1."""

import json

import pytest

from phasenb.cli.exits import Exit


@pytest.fixture
def examined(run):
    """``examined(*options, **environ)``: (exit code, {check: (status, text, todo)}, {field: (value, source, line)})."""

    def doctor(*options, **environ):
        told = run("doctor", "--json", *options, **environ)
        checks = {each["check"]: (each["status"], each["text"], each["todo"]) for each in told.lines if "check" in each}
        fields = {
            each["field"]: (each["value"], each["source"], each["line"]) for each in told.lines if "field" in each
        }
        return told.code, checks, fields

    return doctor


def test_a_machine_in_order(examined, run, report, serve, environ):
    assert run("launch", report, "week=1", "--wait").code == 0
    serve()
    code, checks, fields = examined()
    assert code == 0, checks
    assert {name: status for name, (status, _, _) in checks.items() if name != "browser"} == dict.fromkeys(
        ("versions", "configuration", "extension", "server", "server version", "store", "executor"), "ok"
    )
    assert "answers over HTTP and socket" in checks["server"][1]
    assert environ["PHASENB_STORE_URL"] in checks["store"][1]
    assert "1 tasks" in checks["store"][1]
    assert "ran a phase in" in checks["executor"][1]
    assert fields["store.url"] == (environ["PHASENB_STORE_URL"], "PHASENB_STORE_URL", None)
    assert fields["lease_s"] == (10, "default", None)
    assert len(run("tasks", "--json").lines) == 1, "its own task was in memory"


def test_without_server_and_store_nothing_is_wrong(examined, run):
    code, checks, _ = examined()
    assert code == 0, checks
    assert checks["server"][0] == "note"
    assert "phasenb serve" in checks["server"][2]
    assert "made by the first launch" in checks["store"][1]
    shown = run("doctor").out
    assert "   ok  executor: process: a worker" in shown
    assert "\n       -> `phasenb serve` starts one" in shown
    assert "store.url" in shown.partition("configuration, as this shell")[2]
    assert "lease_s = 10  (default)" in run("doctor", "--all").out


def test_each_value_is_told_with_its_source(examined, environ, tmp_path, folder):
    config = tmp_path / "config"
    (config / "phasenb").mkdir(parents=True)
    (config / "phasenb" / "server_config.json").write_text(
        '{\n "limits": {\n  "queued_tasks": 7\n },\n "lease_s": 20\n}'
    )
    (config / "phasenb" / "error_recovery.yaml").write_text("defaults:\n  retry:\n    maximum_attempts: 9\n")
    (config / "jupyter_server_config.py").write_text("c.PhaseNB.executor = {'workers': 3}\nc.ServerApp.port = 1\n")
    _, _, fields = examined(PHASENB_LEASE_S="30")
    assert fields["limits.queued_tasks"] == (7, str(config / "phasenb" / "server_config.json"), 3)
    assert fields["lease_s"] == (30, "PHASENB_LEASE_S", None)
    assert fields["executor.workers"] == (3, f"c.PhaseNB in {config / 'jupyter_server_config.py'}", None)
    assert fields["error_recovery.defaults.retry.maximum_attempts"] == (
        9, str(config / "phasenb" / "error_recovery.yaml"), 3,
    )  # fmt: skip
    assert fields["error_recovery.defaults.retry.jitter"] == (0.1, "default", None)


def test_a_wrong_configuration(examined, tmp_path):
    (tmp_path / "config" / "phasenb").mkdir(parents=True)
    (tmp_path / "config" / "phasenb" / "server_config.json").write_text('{\n "leas_s": 20\n}')
    code, checks, _ = examined()
    assert code == Exit.FAILED
    assert checks["configuration"][0] == "wrong"
    assert "server_config.json, line 2: leas_s" in checks["configuration"][1]


@pytest.mark.parametrize("broken", ["another program's", "no database", "a folder", "no folder"])
def test_a_store_that_cant_be_used(examined, tmp_path, environ, broken):
    import sqlite3

    path = tmp_path / "phasenb.db"
    where = {}
    if broken == "another program's":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE theirs (x)")
        connection.close()
    elif broken == "no database":
        path.write_text("text" * 1000)
    elif broken == "a folder":
        path.mkdir()
    else:
        where = {"PHASENB_STORE_URL": str(tmp_path / "gone" / "phasenb.db")}
    code, checks, _ = examined(**where)
    assert code == Exit.FAILED
    assert checks["store"][0] == "wrong"
    assert checks["executor"][0] == "ok", "one check that fails stops none of the others"


def test_servers_that_are_not_right(examined, where, server):
    code, checks, _ = examined("--url", "http://127.0.0.1:9")
    assert (code, checks["server"][0]) == (Exit.FAILED, "wrong")
    assert "does not answer" in checks["server"][1]
    code, checks, _ = examined("--url", server.url, "--token", "wrong")
    assert (code, checks["token"][0]) == (Exit.FAILED, "wrong")
    assert "PHASENB_TOKEN" in checks["token"][2]
    code, checks, _ = examined(*where)
    assert (code, checks["server"][0], checks["server version"][0]) == (0, "ok", "ok")


def test_an_extension_that_is_disabled(examined, tmp_path):
    config = tmp_path / "config" / "jupyter_server_config.d"
    config.mkdir(parents=True)
    (config / "mine.json").write_text(json.dumps({"ServerApp": {"jpserver_extensions": {"phasenb": False}}}))
    code, checks, _ = examined()
    assert (code, checks["extension"][0]) == (Exit.FAILED, "wrong")
    assert "jupyter server extension enable phasenb" in checks["extension"][2]


def test_a_worker_that_cant_start(examined, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", str(tmp_path / "no-python"))
    code, checks, _ = examined()
    assert (code, checks["executor"][0]) == (Exit.FAILED, "wrong")
    assert "no-python" in checks["executor"][2]


def test_an_agent_that_can_not_be_loaded(examined, report, folder):
    agents = {"good": "report:flow", "gone": "no_such_module:flow"}
    code, checks, _ = examined(PHASENB_AGENTS=json.dumps(agents), PYTHONPATH=str(folder))
    assert code == Exit.FAILED
    assert checks["agent good"][:2] == ("ok", "report:flow has the phases research, planning, implementation")
    assert checks["agent gone"][0] == "wrong"
    assert "No module named 'no_such_module'" in checks["agent gone"][1]
    assert "agents.gone" in checks["agent gone"][2]


def test_a_default_store_whose_folder_cant_be_made_is_wrong(examined, environ, tmp_path):
    in_the_way = tmp_path / "a file"
    in_the_way.touch()
    code, checks, _ = examined(PHASENB_STORE_URL=None, JUPYTER_DATA_DIR=str(in_the_way / "data"))
    assert code == Exit.FAILED
    status, text, todo = checks["store"]
    assert status == "wrong"
    assert f"its folder can't be made in {in_the_way} (Not a directory)" in text
    assert "PHASENB_STORE_URL" in todo
