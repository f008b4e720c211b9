"""Commands that look, with no server (the store alone) and with one: the same answers."""

import json
import os
import sqlite3
import subprocess
import sys
import textwrap
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

import phasenb
from phasenb.cli.exits import Exit
from phasenb.cli.table import fitted


@pytest.fixture(params=["store", "server"])
def place(request):
    """Where the tasks are looked at: the options that say so."""
    return request.getfixturevalue("where") if request.param == "server" else ()


@pytest.fixture
def task(run, report):
    """The id of a task that has completed, launched by the command itself."""
    done = run("launch", f"{report}:flow", "week=47", "--wait", "--json", "--label", "kind=weekly", "--key", "2026-W47")
    assert done.code == 0, done.err
    return done.lines[-1]["task_id"]


def test_tasks_show_results_logs_of_a_task(run, task, place):
    [snapshot] = run("tasks", "--json", *place).lines
    assert snapshot["task_id"] == task
    assert snapshot["state"] == "completed"
    assert run("show", task[-6:], "--json", *place).lines == [snapshot]
    table = run("tasks", *place).out.splitlines()
    assert table[0].split() == ["TASK", "NAME", "STATE", "PHASE", "%", "CREATED", "TOOK"]
    assert table[1].split()[:3] == [task[-8:], "report", "completed"]
    results = run("results", task, "--json", *place).lines
    assert [(each["task_id"], each["phase"], each["output"]) for each in results] == [
        (task, "research", {"week": 47, "title": "weekly"}), (task, "planning", 94), (task, "implementation", 95),
    ]  # fmt: skip
    assert [each["phase"] for each in run("results", "--last", "--phase", "planning", "--json", *place).lines] == [
        "planning"
    ]
    assert '{"week":47,"title":"weekly"}' in run("results", task, *place).out
    [line] = run("logs", task, "--json", *place).lines
    assert (line["text"], line["phase"], line["attempt"], line["stream"]) == (
        "looking at week 47", "research", 1, "stdout",
    )  # fmt: skip
    assert run("logs", task, "--follow", *place).out == "looking at week 47\n"
    assert run("logs", task, "--phase", "planning", *place).out == ""
    shown = run("show", task, *place).out
    for told in ("completed", "input week: 47", "label kind: weekly", "key: 2026-W47", "[+] implementation"):
        assert told in shown


def test_tasks_are_picked(run, task):
    for options in (["--state", "completed"], ["--since", "1h"], ["--label", "kind=weekly"], ["-n", "1"]):
        assert [each["task_id"] for each in run("tasks", *options, "--json").lines] == [task]
    session = run("show", task, "--json").lines[0]["session"]
    assert session.startswith("py:report-")
    assert len(run("--session", session, "tasks", "--json").lines) == 1
    for options in (["--state", "failed"], ["--label", "kind=other"], ["--session", "other"]):
        assert run("tasks", *options, "--json").out == ""
    assert run("tasks", "--session", "other").err == "no tasks\n"
    assert run("results", "--session", "other").err == "no results\n"


def test_what_is_not_there(run, task):
    missing = run("show", "0000")
    assert (missing.code, missing.err) == (
        Exit.NOT_FOUND,
        "phasenb: there is no task '0000' here: no id, no name and no end of an id is this\n",
    )
    for command in ("results", "logs"):
        assert run(command, "0000").code == Exit.NOT_FOUND


def test_a_reader_sets_nothing_in_motion(run, tmp_path):
    assert run("tasks").err == "no tasks\n"
    assert run("tasks", "--json").out == ""
    assert not (tmp_path / "phasenb.db").exists()
    assert run("agents").err.startswith("no agents are registered")


def test_a_reader_leaves_the_store_of_an_older_release_as_it_is(run, tmp_path):
    path = tmp_path / "phasenb.db"
    with sqlite3.connect(path) as made:
        made.executescript((Path(__file__).parents[1] / "store" / "data" / "version_1.sql").read_text())
    made.close()
    content = path.read_bytes()
    refused = run("tasks")
    assert (refused.code, path.read_bytes()) == (Exit.NO_SERVER, content)
    assert "it has version 1" in refused.err


def test_registered_agents_are_listed(run):
    registered = '{"weekly": "report:flow"}'
    assert run("agents", PHASENB_AGENTS=registered).out == "weekly\n"
    assert run("agents", "--json", PHASENB_AGENTS=registered).lines == [{"name": "weekly"}]


def test_a_phase_that_is_not_there_is_told_and_an_attempt_without_lines_too(run, task):
    for command in ("logs", "results"):
        told = run(command, task, "--phase", "nope")
        assert (told.code, told.out) == (Exit.USAGE, "")
        assert "the task has no phase nope (it has research, planning, implementation)" in " ".join(
            told.err.replace("│", "").split()
        )
    assert run("logs", task, "--attempt", "9").err == "no lines\n"


def test_who_reads_no_further_is_no_failure(start, task, environ):
    """``pipefail`` would tell a cron job that its task failed."""
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [sys.executable, "-m", "phasenb", "tasks"], env=environ, stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert (process.communicate(timeout=60)[1], process.returncode) == ("", Exit.BROKEN_PIPE)


def test_what_answers_and_is_no_server_of_ours_is_told(run, task):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        told = run("tasks", "--url", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert (told.code, "what answers there is no phasenb server" in told.err) == (Exit.NO_SERVER, True), told.err


@pytest.mark.parametrize(
    ("widths", "room", "fit"),
    [
        ([3, 5, 4], 80, [3, 5, 4]),
        ([8, 30, 100], 60, [8, 24, 24]),
        ([8, 8, 100], 30, [8, 8, 10]),
        ([8, 8, 8], 3, [4, 4, 4]),  # no narrower: then lines are wrapped
    ],
)
def test_columns_give_way_where_a_terminal_is_narrow(widths, room, fit):
    assert fitted(widths, room) == fit


@pytest.mark.parametrize(
    "wrong",
    [
        ["tasks", "--since", "yesterday"], ["tasks", "--label", "kind"], ["tasks", "--session", "a b"],
        ["tasks", "--state", "done"], ["frobnicate"], ["show"],
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_told(run, wrong):
    told = run(*wrong)
    assert (told.code, told.out) == (Exit.USAGE, "")
    assert "Usage: phasenb" in told.err


def test_errors_are_objects_for_scripts(run):
    told = run("--json", "show", "0000")
    assert told.code == Exit.NOT_FOUND
    assert told.out == ""
    assert '"type":"UnknownTask"' in told.err
    assert '"exit_code":3' in told.err


def test_the_shared_options_stand_before_a_command_or_after_it(run, server):
    assert run("--url", server.url, "--token", server.token, "tasks", "--json").code == 0
    # Its file lies in the runtime folder that the command looks into: found by itself. Without a server: NO_SERVER.
    assert run("cancel", "0000").code == Exit.NOT_FOUND
    assert run("tasks", "--json", PHASENB_URL=server.url, PHASENB_TOKEN=server.token).code == 0
    denied = run("--url", server.url, "--token", server.token, "tasks", "--token", "wrong")
    assert (denied.code, "refused access" in denied.err) == (Exit.REFUSED, True)


def test_a_named_server_that_does_not_answer_is_an_error(run, task):
    told = run("tasks", "--url", "http://127.0.0.1:9")
    assert (told.code, told.out) == (Exit.NO_SERVER, "")
    assert "does not answer" in told.err
    assert told.err.endswith("start it, or name another with --url or PHASENB_URL\n")
    scripted = json.loads(run("tasks", "--url", "http://127.0.0.1:9", "--json").err)
    assert (scripted["error"]["type"], scripted["error"]["code"]) == ("ServerUnreachable", None)


def test_version_and_module(run, start):
    assert run("--version").out == f"phasenb {phasenb.__version__}\n"
    assert start("--version").communicate()[0] == f"phasenb {phasenb.__version__}\n"
    assert "Usage" in run().err + run().out


def test_help_and_completion_load_neither_host_nor_frames(environ):
    heavy = {"pandas", "sqlalchemy", "tornado", "jupyter_server", "websockets", "cloudpickle", "rich", "phasenb.host"}
    code = f"import phasenb.cli.app, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


def test_without_a_server_a_watch_and_the_logs_follow_what_a_script_commits(run, start, folder):
    path, gate = folder / "script.py", folder / "gate"
    gate.mkdir()
    path.write_text(textwrap.dedent("""
        import pathlib, sys, time
        import phasenb as pn

        flow = pn.Workflow("scripted", phases=("one", "two"))

        @flow.phase("one")
        def one(gate):
            for line in ("first", "second"):
                print(line, "line")
                while not pathlib.Path(gate, line).exists():
                    time.sleep(0.02)

        @flow.phase("two")
        def two():
            print("last line")

        task = flow.launch(gate=sys.argv[1])
        print(task.task_id, flush=True)
        task.result()
    """))  # fmt: skip
    script = start(path, gate, script=True)
    task = script.stdout.readline().strip()
    watch, logs = start("watch", task), start("logs", task, "--follow")
    assert any("one: started" in line for line in watch.stdout)
    assert logs.stdout.readline() == "first line\n"
    (gate / "first").touch()
    assert logs.stdout.readline() == "second line\n", "no event tells of it"
    (gate / "second").touch()
    assert any("scripted" in line and "completed" in line for line in watch.stdout)
    assert (watch.wait(60), logs.wait(60), script.wait(60)) == (0, 0, 0)
    assert logs.stdout.read() == "last line\n"
    assert [host for host in run("show", task, "--json").lines[0]["phases"] if host["attempt"] != 1] == []


def test_in_a_folder_that_is_gone_it_says_so(run, folder, monkeypatch):
    gone = folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    done = run("tasks")
    assert done.code == Exit.USAGE
    assert done.err == "phasenb: the folder that this shell is in no longer exists: cd to another one\n"
