"""The command in this process (CliRunner) or in one of its own, on a store and in folders that a test has to itself."""

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass

import pytest
from typer.testing import CliRunner

from phasenb.cli.app import app

REPORT = """
    import phasenb as pn

    flow = pn.Workflow("report")

    @flow.research
    def look(ctx, week, title="weekly"):
        print("looking at week", week)
        ctx.update(0.5, "half way")
        return {"week": week, "title": title}

    @flow.planning
    def plan(research):
        return research["week"] * 2

    @flow.implementation
    def write(ctx, planning):
        ctx.artifact("note", {"kept": planning})
        return planning + 1
"""


HELD = """
    import time
    import phasenb as pn

    flow = pn.Workflow("held", phases=("one", "two"))

    @flow.phase("one")
    def one():
        return 1

    @flow.phase("two")
    def two(ctx, one, gate):
        import pathlib
        print("waiting for", gate)
        while not pathlib.Path(gate).exists():
            time.sleep(0.02)
        return one + ctx.attempt
"""


@dataclass(frozen=True)
class Answer:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def lines(self):
        """The JSON objects on stdout, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def environ(tmp_path):
    """What the command finds around it: a store of its own, no server, no configuration."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PHASENB", "JPY", "JUPYTER"))}
    return kept | {
        "PHASENB_STORE_URL": str(tmp_path / "phasenb.db"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_PREFER_ENV_PATH": "0",
    }


@pytest.fixture
def run(environ, monkeypatch, folder):
    """``run("tasks", "--json", **environ)``: the command in this process."""
    monkeypatch.chdir(folder)
    for name in tuple(os.environ):
        if name not in environ:
            monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    def ran(*arguments, stdin=None, **more):
        done = CliRunner().invoke(app, [str(each) for each in arguments], input=stdin, env=more, prog_name="phasenb")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Answer(done.exit_code, done.stdout, done.stderr)

    return ran


@pytest.fixture
def start(environ, folder):
    """``start("watch", ...)``: the command in a process of its own, with pipes; ended with the test. ``script``: a
    script of the test's instead.
    """
    started = []

    def begun(*arguments, script=False, **more):
        command = [sys.executable, *([] if script else ["-m", "phasenb"]), *(str(each) for each in arguments)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=folder, env=environ | more, stdout=pipe, stderr=pipe, text=True)
        started.append(process)
        return process

    yield begun
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def report(folder):
    """A file with a workflow."""
    path = folder / "report.py"
    path.write_text(textwrap.dedent(REPORT))
    return path


@pytest.fixture
def held(folder):
    """(a file whose workflow waits in its second phase, the file that lets it go on)."""
    path = folder / "held.py"
    path.write_text(textwrap.dedent(HELD))
    return path, folder / "gate"


@pytest.fixture
def serve(start):
    """``serve()``: `phasenb serve`, a host in the background; its pid. Ended with the test."""

    def begun():
        process = start("--json", "serve")
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return json.loads(out)["pid"]

    yield begun
    assert start("serve", "--stop").wait(60) == 0


@pytest.fixture
def server(jupyter_process, environ):
    """A real Jupyter server, on the store of the command; its URL and token are in ``where``."""
    return jupyter_process(environ={"PHASENB_STORE_URL": environ["PHASENB_STORE_URL"]})


@pytest.fixture
def where(server):
    """The options that name the server."""
    return ("--url", server.url, "--token", server.token)
