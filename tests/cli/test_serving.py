"""`phasenb serve`: a host in the background, found by whoever is configured for its store."""

import json
import os
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request

import psutil

from phasenb.cli.exits import Exit
from phasenb.client.served import runtime_file


def test_it_is_found_by_commands_and_scripts_and_ends_tidily(run, serve, report, environ, folder, tmp_path):
    assert run("serve", "--status").code == Exit.NO_SERVER
    refused = run("launch", report, "week=47")
    assert (refused.code, refused.out) == (Exit.NO_SERVER, "")
    assert "phasenb serve" in refused.err
    assert "--wait" in refused.err
    pid = serve()
    told = json.loads(run("serve", "--status", "--json").out)
    assert (told["pid"], told["running"], told["store"]) == (pid, True, environ["PHASENB_STORE_URL"])
    assert run("serve", "--json").lines == [told], "one for each store"

    launched = run("launch", report, "week=47")
    task = launched.out.strip()
    assert (launched.code, len(task)) == (0, 26)
    assert run("watch", task).out.splitlines()[-1].split("  ")[1].startswith(f"report {task[-8:]}: completed in")
    script = folder / "script.py"
    script.write_text(report.read_text() + "\ntask = flow.launch(week=1)\nprint(task.result(), task._client.url)")
    done = subprocess.run([sys.executable, script], env=environ, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["3", told["url"]], done.stderr

    assert run("serve", "--stop").code == 0
    assert not psutil.pid_exists(pid)
    assert run("serve", "--status").code == Exit.NO_SERVER
    assert not runtime_file(environ["PHASENB_STORE_URL"]).exists()
    assert run("serve", "--stop").code == 0, "idempotent"
    assert len(run("tasks", "--json").lines) == 2, "the store tells of them without it"


def test_it_serves_phasenb_to_its_user_and_nothing_else(run, serve, environ):
    serve()
    path = runtime_file(environ["PHASENB_STORE_URL"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.with_suffix(".log").stat().st_mode) == 0o600
    served = json.loads(path.read_text())
    assert served["token"] not in path.with_suffix(".log").read_text()
    assert served["url"].startswith("http://127.0.0.1:")

    def status(path, token):
        request = urllib.request.Request(served["url"] + path, headers={"Authorization": f"token {token}"})
        try:
            return urllib.request.urlopen(request, timeout=10).status
        except urllib.error.HTTPError as error:
            return error.code

    assert status("phasenb/api/health", served["token"]) == 200
    assert status("phasenb/api/health", "wrong") == 403
    for elsewhere in ("api/contents", "api/kernels", "api/sessions", "api/terminals", "files/x", "lab", "tree"):
        assert status(elsewhere, served["token"]) == 404, elsewhere


def test_one_that_is_supervised_does_not_take_anothers_life_for_its_own(run, serve):
    pid = serve()
    told = run("serve", "--foreground")
    assert (told.code, f"pid {pid}" in told.err) == (Exit.NO_SERVER, True)


def test_a_watch_outlives_a_killed_host_and_its_successor_takes_the_task_up(run, serve, start, held):
    path, gate = held
    pid = serve()
    task = run("launch", path, f"gate={gate}").out.strip()
    watch = start("watch", task, "--json")
    for line in watch.stdout:
        if json.loads(line)["phase"] == "two":
            break
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=30)
    assert run("serve", "--status").code == Exit.NO_SERVER, "what it left behind deceives nobody"
    assert run("cancel", task).code == Exit.NO_SERVER
    assert serve() != pid
    gate.touch()
    lines = [json.loads(line) for line in watch.stdout]
    assert watch.wait(60) == 0, watch.stderr.read()
    assert lines[-1]["state"] == "completed"
    assert run("results", task, "--last", "--phase", "two", "--json").lines[0]["output"] == 3, "attempt 2 of `two`"


def test_logs_that_are_followed_outlive_a_killed_host_too(run, serve, start, held):
    path, gate = held
    pid = serve()
    task = run("launch", path, f"gate={gate}").out.strip()
    logs = start("logs", task, "--follow")
    assert logs.stdout.readline() == f"waiting for {gate}\n"
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=30)
    assert serve() != pid
    gate.touch()
    assert logs.stdout.read() == f"waiting for {gate}\n", "of the second attempt; the first line is not told again"
    assert logs.wait(60) == 0, logs.stderr.read()


def test_a_watch_outlives_a_jupyter_server_that_is_killed_and_started_again(run, where, server, start, held, environ):
    path, gate = held
    task = run("launch", path, f"gate={gate}", *where).out.strip()
    watch = start("watch", task, "--json", *where)
    for line in watch.stdout:
        if json.loads(line)["phase"] == "two":
            break
    server.process.kill()
    server.process.wait()
    again = subprocess.Popen(
        server.process.args, env=environ | {"JUPYTER_TOKEN": server.token}, stderr=subprocess.DEVNULL
    )
    try:
        gate.touch()
        lines = [json.loads(line) for line in watch.stdout]
        assert watch.wait(60) == 0, watch.stderr.read()
        assert lines[-1]["state"] == "completed"
    finally:
        again.terminate()
        again.wait(30)


def test_what_is_stopped_goes_on_with_the_next_one(run, serve, held):
    path, gate = held
    serve()
    task = run("launch", path, f"gate={gate}").out.strip()
    assert run("serve", "--stop").code == 0
    gate.touch()
    serve()
    assert run("watch", task, "--json").lines[-1]["state"] == "completed"


def test_a_store_that_cant_be_opened_is_told(run, start, tmp_path):
    (tmp_path / "phasenb.db").write_text("this is no database, and it is long enough to be taken for one" * 20)
    told = start("serve")
    _, err = told.communicate(timeout=60)
    assert told.returncode == Exit.NO_SERVER, err
    assert err.startswith("phasenb: serve did not start: the store ")
    assert "phasenb.db can't be used" in err
    assert err.count("\n") == 1
    scripted = start("serve", "--json")
    assert json.loads(scripted.communicate(timeout=60)[1])["error"]["code"] == "store_unavailable"
    assert run("serve", "--status").code == Exit.NO_SERVER


def test_wrong_options(run):
    assert run("serve", "--stop", "--status").code == Exit.USAGE


def test_the_store_is_that_of_jupyters_own_configuration(run, serve, report, environ, folder, tmp_path):
    store = tmp_path / "named.db"
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "jupyter_server_config.py").write_text(f"c.PhaseNB.store = {{'url': '{store}'}}\n")
    script = folder / "script.py"
    script.write_text(report.read_text() + "\ntask = flow.launch(week=1)\nprint(task.result(), task._client.url)")

    def ran():
        done = subprocess.run([sys.executable, script], env=environ, cwd=folder, capture_output=True, text=True)
        return done.stdout, done.stderr

    assert ran()[0].endswith("3 this process\n"), ran()
    serve()
    told = json.loads(run("serve", "--status", "--json").out)
    assert told["store"] == str(store)
    assert ran()[0].endswith(f"3 {told['url']}\n")
    assert run("serve", "--stop").code == Exit.DONE
    assert len(run("tasks", "--json").lines) == 2, "the store alone tells of both"
    assert not (tmp_path / "phasenb.db").exists()
