"""Launches that bring their own code, as a notebook's do: by value, by reference, and what goes wrong in a phase."""

import base64
import hashlib
import sys

import pytest

from phasenb.agents.packing import code_json, pack
from phasenb.agents.workflow import Workflow


@pytest.fixture
def code():
    flow = Workflow("mine", phases=("load", "score"))

    @flow.phase("load")
    def load(ctx, n):
        ctx.update(0.5, "half way")
        print("loading", n)
        return list(range(n))

    @flow.phase("score")
    def score(load):
        if not load:
            raise ValueError("nothing to score")
        return sum(load)

    # By value, as cloudpickle does it with what a notebook defines: workers can't import this module.
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        yield pack(flow)
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


async def test_code_in_the_launch(open_socket, code):
    socket = await open_socket()
    answer = await socket.ask("launch", code=code_json(code), inputs={"n": 4})
    assert answer["type"] == "launched", answer
    task_id = answer["task_id"]
    await socket.event("task_complete", task_id)
    events = socket.events(task_id)
    assert events[0]["phases"] == ["load", "score"]
    assert events[-2]["result"]["output"] == 6
    assert next(frame["percent"] for frame in socket.frames if frame["type"] == "phase_update") == 50
    lines = [line["text"] for frame in socket.frames if frame["type"] == "phase_log" for line in frame["lines"]]
    assert lines == ["loading 4"]


async def test_code_by_reference(open_socket, jp_fetch, code):
    data = base64.b64decode(code_json(code))
    digest = hashlib.sha256(data).hexdigest()
    socket = await open_socket()
    reference = {"$object": f"sha256:{digest}", "codec": "pickle"}
    assert (await socket.ask("launch", code=reference, inputs={"n": 4}))["code"] == "unknown_object"
    await jp_fetch("phasenb", "api", "objects", digest, method="PUT", body=data)
    launched = await socket.ask("launch", code=reference, inputs={"n": 4})
    await socket.event("task_complete", launched["task_id"])


async def test_a_phase_that_raises(open_socket, code, api):
    socket = await open_socket()
    recovery = {"defaults": {"retry": {"maximum_attempts": 1}}}
    launched = await socket.ask("launch", code=code_json(code), inputs={"n": 0}, options={"recovery": recovery})
    ended = await socket.event("task_error", launched["task_id"])
    assert (ended["error"]["type"], ended["error"]["message"]) == ("ValueError", "nothing to score")
    assert 'raise ValueError("nothing to score")' in ended["error"]["traceback"]
    _, results = await api("tasks", launched["task_id"], "results")
    assert [result["status"] for result in results["results"]] == ["complete", "failed"]


async def test_a_misspelt_input_is_refused_by_name(open_socket, code):
    socket = await open_socket()
    refused = await socket.ask("launch", code=code_json(code), inputs={"m": 4})
    assert refused["code"] == "invalid_launch"
    assert refused["details"]["argument"] in ("n", "m")


async def test_code_of_another_python_is_refused_at_launch(open_socket, code):
    socket = await open_socket()
    far = {
        "python": "3.8.1",
        "executable": "/their/python",
        "cwd": "/theirs",
        "sys_path": [],
        "host": "another machine",
    }
    options = {"name": "mine", "phases": ["load", "score"]}
    refused = await socket.ask("launch", code=code_json(code), inputs={"n": 4}, runtime=far, options=options)
    assert refused["code"] == "runtime_mismatch"
    assert "Python 3.8.1" in refused["message"]
    assert (await socket.ask("list"))["tasks"] == []
