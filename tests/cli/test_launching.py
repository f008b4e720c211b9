"""`phasenb launch`, as cron calls it: a file's workflow, here or on a host, and the exit code that says how it went."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import textwrap

import pytest

from phasenb.cli.exits import Exit
from tests.waiting import until


@pytest.fixture
def write(folder):
    """``write(name, text)``: a file in the command's folder."""

    def written(name, text):
        path = folder / name
        path.write_text(textwrap.dedent(text))
        return path

    return written


ECHO = """
    from dataclasses import dataclass
    import phasenb as pn
    import beside                       # a module in the file's own folder

    @dataclass
    class Kept:
        values: dict

    flow = pn.Workflow("echo", phases=("keep", "give"))

    @flow.phase("keep")
    def keep(a=None, b=None, c=None, d=None, e=None, f=None):
        return Kept(dict(a=a, b=b, c=c, d=d, e=e, f=f))

    @flow.phase("give")
    def give(keep):
        return [keep.values, beside.WORD, __name__]

    if __name__ == "__main__":
        raise SystemExit("this block is for `python echo.py`")
"""


def test_a_file_is_loaded_as_python_would_and_inputs_are_json_where_they_parse(run, write, tmp_path, monkeypatch):
    write("beside.py", "WORD = 'beside'")
    path = write("echo.py", ECHO)
    monkeypatch.chdir(tmp_path)  # not the file's folder
    inputs = ["a=47", "b=true", "c=some text", 'd="47"', 'e={"x": [1, null]}', "f=a=b"]
    done = run("launch", path, *inputs, "--wait", "--json")
    assert done.code == 0, done.err
    [last] = run("results", done.lines[-1]["task_id"], "--phase", "give", "--json").lines
    values = {"a": 47, "b": True, "c": "some text", "d": "47", "e": {"x": [1, None]}, "f": "a=b"}
    assert last["output"] == [values, "beside", "echo"]


@pytest.mark.parametrize(
    ("text", "target", "told"),
    [
        ("", "gone.py", "there is no file gone.py"),
        ("x = 1", "file.py", "no Workflow"),
        ("from phasenb import Workflow as W\na, b = W('a'), W('b')", "file.py", "say which: file.py:NAME (it has a,"),
        ("import phasenb as pn\nflow = pn.Workflow('a')", "file.py:flwo", "Did you mean `flow`?"),
        ("def broken():\n    raise ValueError('as written')\n\nbroken()", "file.py", "line 2, in broken"),
        ("import sys\nsys.exit(0)", "file.py", "can't be loaded: it calls sys.exit(0)"),
    ],
)  # fmt: skip
def test_a_file_that_cant_be_launched_is_told(run, write, text, target, told):
    write("file.py", text)
    answer = run("launch", target, "--wait")
    assert (answer.code, answer.out) == (Exit.USAGE, "")
    assert told in answer.err
    assert "phasenb/cli" not in answer.err, "a person's own lines only"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["week"], "'week' is not NAME=VALUE"),
        (["wek=47"], "Did you mean `week`?"),
        ([], "week"),
        (["week=1", "--approve-before", "plannin"], "plannin"),
        (["week=1", "--env", "NOT_SET_HERE"], "NOT_SET_HERE is not set here"),
        (["week=1", "--secret", "KEY=hunter2"], '"env:NAME" or "file:PATH"'),
        (["week=1", "--timeout", "soon"], "'soon' is not a duration"),
        (["week=1", "--session", "a b"], "characters"),
        (["week=1", "week=2"], "week is given twice"),
        (["=4"], "'=4' has no name before the ="),
    ],
)
def test_a_launch_that_cant_work_is_told_before_anything_runs(run, report, arguments, told):
    answer = run("launch", report, *arguments, "--wait")
    assert (answer.code, answer.out) == (Exit.USAGE, "")
    assert told in answer.err
    assert "hunter2" not in answer.err
    assert run("tasks", "--json").out == ""


def test_a_failure_is_exit_code_1_with_the_persons_own_line(run, write):
    path = write("bad.py", """
        import phasenb as pn
        flow = pn.Workflow("bad", phases=("only",))

        @flow.phase("only")
        def only():
            raise TypeError("no good")
    """)  # fmt: skip
    done = run("launch", path, "--wait")
    assert done.code == Exit.FAILED
    assert "only: failed, TypeError: no good" in done.out
    task = run("tasks", "--json").lines[0]["task_id"]
    shown = run("show", task).out
    assert 'raise TypeError("no good")' in shown
    assert run("watch", task).code == Exit.FAILED
    assert "TypeError: no good" in run("results", task).out


def test_a_task_that_pauses_itself_in_this_process_is_left(run, report):
    done = run("launch", report, "week=1", "--secret", "KEY=env:NOT_SET_HERE", "--wait")
    assert done.code == Exit.WAITING
    assert "is kept in the store" in done.err
    assert done.out.count("NOT_SET_HERE is not set") == 1, done.out
    assert "attempt 2" not in done.out


def test_a_job_does_not_hang_on_a_task_that_is_paused_on_a_server(run, serve, report):
    serve()
    done = run("launch", report, "week=1", "--secret", "KEY=env:NOT_SET_HERE", "--wait")
    assert done.code == Exit.WAITING
    assert run("watch", run("tasks", "--json").lines[0]["task_id"]).code == Exit.WAITING


def test_a_failure_that_is_tried_again_is_told_once_with_what_follows(run, write):
    path = write("busy.py", """
        import phasenb as pn
        flow = pn.Workflow("busy", phases=("only",))

        @flow.phase("only")
        def only(ctx):
            if ctx.attempt == 1:
                raise ConnectionError("busy")
    """)  # fmt: skip
    done = run("launch", path, "--wait")
    assert done.code == Exit.DONE
    assert done.out.count("ConnectionError: busy") == 1
    assert re.search(r"only: attempt 2 of 3, next at \d", done.out), done.out


def test_a_key_makes_it_one_task(run, report):
    first = run("launch", report, "week=47", "--key", "W47", "--wait", "--json")
    again = run("launch", report, "week=47", "--key", "W47", "--wait")
    assert (first.code, again.code) == (0, 0)
    assert "attached to" in again.err
    assert len(run("tasks", "--json").lines) == 1
    refused = run("launch", report, "week=47", "--key", "W47", "--if-exists", "error", "--wait")
    assert (refused.code, "W47" in refused.err) == (Exit.REFUSED, True)


def test_options_reach_the_task(run, write, monkeypatch):
    monkeypatch.setenv("PLAIN", "from here")
    monkeypatch.setenv("HIDDEN", "hunter2")
    path = write("env.py", """
        import os
        import phasenb as pn
        flow = pn.Workflow("env", phases=("only",))

        @flow.phase("only")
        def only():
            return [os.environ["GIVEN"], os.environ["PLAIN"], len(os.environ["KEPT"])]
    """)  # fmt: skip
    options = [
        "--env",
        "GIVEN=x=y",
        "--env",
        "PLAIN",
        "--secret",
        "KEPT=env:HIDDEN",
        "--name",
        "other",
        "--priority",
        "3",
    ]
    done = run("launch", path, *options, "--label", "a=1", "--label", "b=2", "--session", "mine", "--wait", "--json")
    assert done.code == 0, done.err
    task = done.lines[-1]
    assert (task["name"], task["labels"], task["session"]) == ("other", {"a": "1", "b": "2"}, "mine")
    assert run("results", task["task_id"], "--json").lines[0]["output"] == ["x=y", "from here", 7]


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, Exit.TERMINATED), (None, Exit.TIMEOUT)]
)
def test_what_is_left_is_kept_and_taken_up_by_the_next_host(run, start, serve, held, sent, code):
    path, gate = held
    timeout = ["--timeout", "3s"] if sent is None else []
    process = start("launch", path, f"gate={gate}", "--wait", *timeout)
    for line in process.stdout:
        if "two: started" in line:
            break
    if sent is not None:
        process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "is kept in the store" in err
    assert "it goes on where it runs" not in err, "in this process, which ends"
    assert "Traceback" not in err
    [task] = run("tasks", "--json").lines
    assert task["phases"][0]["status"] == "complete"
    gate.touch()
    serve()
    assert run("watch", task["task_id"], "--json").lines[-1]["state"] == "completed"


def test_steering_through_a_gate(run, serve, report):
    serve()
    gated = ["launch", report, "week=47", "--approve-before", "implementation"]
    stopped = run(*gated, "--wait")
    assert stopped.code == Exit.WAITING, stopped.err
    task = run("tasks", "--state", "awaiting_approval", "--json").lines[0]["task_id"]
    assert f"phasenb approve {task[-8:]}" in stopped.out
    assert run("watch", task).code == Exit.WAITING
    assert run("watch", task, "--on-approval", "wait", "--timeout", "0.2").code == Exit.TIMEOUT
    assert run("pause", task).code == Exit.DONE
    paused = run("watch", task)
    assert paused.code == Exit.WAITING
    assert f"phasenb resume {task[-8:]}" in paused.out, "a gate takes no answer while it is paused"
    assert run("watch", task, "--on-approval", "wait", "--timeout", "0.2").code == Exit.TIMEOUT
    assert run("resume", task).code == Exit.DONE
    assert run("approve", task, "--edit", "not json").code == Exit.USAGE
    [state] = run("approve", task, "--edit", "-", "--note", "doubled", "--json", stdin="188").lines
    assert state["task_id"] == task
    assert run("watch", task).code == 0
    assert run("results", task, "--last", "--phase", "implementation", "--json").lines[0]["output"] == 189
    refused = run("approve", task)
    assert (refused.code, "waits for no approval" in refused.err) == (Exit.REFUSED, True)

    other = run(*gated, "--wait", "--json").lines[-1]["task_id"]
    assert run("deny", other, "why not", "--redo", "planning").code == 0
    assert run("watch", other).code == Exit.WAITING
    assert run("deny", other, "enough").code == 0
    assert run("watch", other).code == Exit.FAILED
    assert run("show", other, "--json").lines[0]["state"] == "cancelled"
    assert run("retry", other, "--from-phase", "nonsense").code == Exit.REFUSED
    assert run("pause", other).code == Exit.REFUSED


def test_launches_that_a_threshold_holds_back_are_resumed(run, serve, environ, tmp_path):
    policy = tmp_path / "recovery.yaml"
    policy.write_text("thresholds: [{errors: 1, window: 1h, action: pause_launches}]")
    environ["PHASENB_RECOVERY"] = str(policy)
    serve()
    bad = tmp_path / "bad.py"
    bad.write_text("import phasenb as pn\nflow = pn.Workflow('bad', phases=('a',))\n@flow.phase('a')\ndef a(): 1 / 0\n")
    assert run("launch", bad, "--wait").code == Exit.FAILED
    held_back = run("launch", bad)
    assert held_back.code == Exit.REFUSED
    session = re.search(r"`phasenb resume-launches --session (\S+)`", held_back.err)[1]
    assert run("resume").code == Exit.USAGE
    assert "launches again" in run("resume-launches", "--session", session).out
    assert run("launch", bad).code == Exit.DONE


def test_cancel_pause_resume_retry(run, serve, held):
    serve()
    path, gate = held
    task = run("launch", path, f"gate={gate}").out.strip()
    assert run("pause", task[-8:]).code == 0
    assert run("resume", task[-8:]).code == 0
    cancelled = run("cancel", task)
    assert cancelled.code == 0
    assert cancelled.out.startswith(f"held {task[-8:]}: cancel")
    assert run("watch", task).code == Exit.FAILED
    path.write_text(path.read_text().replace("one + ctx.attempt", "'mended'"))
    gate.touch()
    assert run("retry", task, "--code", path).code == 0
    assert run("watch", task).code == 0
    assert run("results", task, "--last", "--phase", "two", "--json").lines[0]["output"] == "mended"


def test_retries_and_limits_are_options_and_a_waiting_retry_is_given_up(run, serve, write):
    slow = write("slow.py", """
        import phasenb as pn
        flow = pn.Workflow("slow", phases=("only",))
        waits = {"defaults": {"retry": {"initial_interval": "1h"}}}
        patient = flow.with_options(recovery=waits)

        @flow.phase("only")
        def only(ctx):
            if ctx.attempt == 1:
                while True:
                    pass
            raise KeyError("rows")
    """)  # fmt: skip
    ended = run("launch", f"{slow}:flow", "--retry", "2", "--attempt-timeout", "0.5s", "--wait")
    assert ended.code == Exit.FAILED
    assert "took more than 0.5 s" in ended.out
    assert ended.out.count("KeyError") == 1
    serve()
    task = run("launch", f"{slow}:patient", "--retry", "3", "--attempt-timeout", "0.5s").out.strip()
    until(lambda: run("tasks", "--json").lines[0]["state"] == "retrying")
    shown = run("show", task).out
    assert "AttemptTimeout: the attempt took more than 0.5 s" in shown
    assert "attempt 2 of 3, next at" in shown
    assert run("give-up", task).code == 0
    assert run("watch", task).code == Exit.FAILED
    assert run("give-up", task).code == Exit.REFUSED
    source = run("source", task, "only")
    assert (source.code, "while True:" in source.out) == (0, True)


def test_a_registered_agent_by_name(run, start, report, environ):
    registered = {"PHASENB_AGENTS": '{"weekly": "report:flow"}', "PYTHONPATH": str(report.parent)}
    assert start("serve", **registered).wait(60) == 0
    try:
        done = run("launch", "weekly", "week=47", "--wait", "--json", **registered)
        assert (done.code, done.lines[-1]["state"]) == (0, "completed")
        assert run("agents").out == "weekly\n"
        unknown = run("launch", "wekly")
        assert (unknown.code, "no agent named 'wekly'" in unknown.err) == (Exit.NOT_FOUND, True)
    finally:
        assert run("serve", "--stop").code == 0


def test_all_live_tasks_are_watched_until_ctrl_c(run, serve, start, held):
    serve()
    path, gate = held
    first = run("launch", path, f"gate={gate}").out.strip()
    watch = start("watch")
    told = next(line for line in watch.stdout if "two: started" in line)
    assert first[-8:] in told
    second = run("launch", path, f"gate={gate}").out.strip()
    next(line for line in watch.stdout if second[-8:] in line and "two: started" in line)
    gate.touch()
    seen = set()
    for line in watch.stdout:
        seen |= {task for task in (first, second) if f"{task[-8:]}: completed" in line}
        if len(seen) == 2:
            break
    watch.send_signal(signal.SIGINT)
    assert watch.wait(60) == Exit.INTERRUPTED
    assert watch.stderr.read() == ""


@pytest.fixture
def on_terminal(environ, folder):
    """``on_terminal("watch", ..., until=None, TERM=...)``: (exit code, what a terminal got). ``until(text)``: when to
    press Ctrl-C, or to send another signal.
    """

    def ran(*arguments, until=None, sent=signal.SIGINT, **more):
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "phasenb", *(str(each) for each in arguments)]
        shape = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
        process = subprocess.Popen(command, cwd=folder, env=environ | shape | more, stdout=theirs, stderr=theirs)
        os.close(theirs)
        written = b""
        try:
            while chunk := os.read(ours, 65536):
                written += chunk
                if until is not None and until(written.decode(errors="replace")):
                    process.send_signal(sent)
                    until = None
        except OSError:
            pass  # Linux says EIO where the other end is closed
        os.close(ours)
        return process.wait(60), written.decode()

    return ran


def test_a_terminal_gets_cards_that_move(on_terminal, report):
    code, text = on_terminal("launch", report, "week=47", "--wait")
    assert code == 0
    assert "\x1b[2K" in text, "painted in place"
    last = text.rpartition("\x1b[2K")[2]
    assert "completed" in last
    assert last.count("✓") == 3
    assert "━━━━" in last
    lines = last.splitlines()
    assert "week=47" in lines[1], "the inputs"
    assert lines[5].strip().startswith("95"), "the result's preview"


def test_a_terminal_that_can_do_nothing_gets_lines(on_terminal, report):
    code, text = on_terminal("launch", report, "week=47", "--wait", TERM="dumb")
    assert code == 0
    assert "\x1b" not in text
    assert "research: started" in text


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, Exit.TERMINATED)])
def test_a_watch_that_is_ended_leaves_the_cursor_as_it_was(on_terminal, run, serve, held, sent, code):
    serve()
    path, gate = held
    task = run("launch", path, f"gate={gate}").out.strip()
    ended, text = on_terminal("watch", task, until=lambda text: "two" in text, sent=sent)
    assert ended == code
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l") >= 0
    gate.touch()


def test_tables_fit_a_terminal_and_know_no_color(on_terminal, run, report):
    run("launch", report, "week=47", "--name", "a name that is longer than the terminal is wide", "--wait")
    for command in ("tasks", "results"):
        code, text = on_terminal(command, COLUMNS="60")
        assert code == 0
        assert "\x1b[32mcomplet" in text
        plain = re.sub("\x1b\\[[0-9;]*m", "", text)
        assert max(map(len, plain.splitlines())) <= 60
        assert "…" in plain
        assert "\x1b" not in on_terminal(command, NO_COLOR="1")[1]
    assert "a name that is longer than the terminal is wide" in run("tasks").out, "a pipe gets it whole"


def test_cards_of_tasks_that_ended_stay_above_those_that_live(on_terminal, run, serve, held):
    serve()
    path, gate = held
    ended, live = (run("launch", path, f"gate={each}").out.strip()[-8:] for each in (gate, f"{gate}-2"))

    def finish(text):
        if "two" in text:
            gate.touch()
        return f"{ended}\x1b[0m\x1b[1;32m  completed" in text

    code, text = on_terminal("watch", until=finish)
    assert code == Exit.INTERRUPTED
    last = text.rpartition("\x1b[2K")[2]
    assert live in last
    assert text.rindex(ended) < text.rindex(live)


def test_json_is_a_snapshot_for_each_change(run, report):
    done = run("launch", report, "week=47", "--wait", "--json")
    states = [line["state"] for line in done.lines]
    assert states[-1] == "completed"
    assert [line["seq"] for line in done.lines] == sorted(line["seq"] for line in done.lines)
    assert {"task_id", "phases", "percent", "actions", "inputs"} <= set(done.lines[0])
    assert json.loads(done.out.splitlines()[-1])["phases"][0]["status"] == "complete"
