"""The HTTP API in a real server: a task's whole life over it, its errors, and its documents."""

import asyncio
import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest

from phasenb import errors
from phasenb.client.async_client import AsyncClient
from phasenb.server.errors import retry_after_s
from phasenb.web.http_protocol import ARROW, JSON, OPERATIONS

NOBODYS = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture
def post(jp_fetch):
    """``await post("tasks", body)``: (status, body, headers) of a POST."""

    async def sent(*path, body=None, headers=None):
        text = body if isinstance(body, str) else json.dumps({} if body is None else body)
        response = await jp_fetch(
            "phasenb", "api", *path, method="POST", body=text, headers=headers or {}, raise_error=False
        )
        return response.code, json.loads(response.body), response.headers

    return sent


@pytest.fixture
def until(api):
    """``await until(task_id, "completed")``: the task once it is in a state."""

    async def reached(task_id, *states):
        async with asyncio.timeout(30):
            while (task := (await api("tasks", task_id))[1])["state"] not in states:
                await asyncio.sleep(0.02)
        return task

    return reached


async def launched(post, agent="three", **fields):
    status, body, _ = await post("tasks", body={"agent": agent, "inputs": {"path": "a.csv"}, **fields})
    assert status == 201, body
    return body["task_id"]


async def test_a_task_is_launched_and_read(post, api, until):
    status, body, headers = await post("tasks", body={"agent": "three", "inputs": {"path": "a.csv"}})
    assert (status, body["duplicate"]) == (201, False)
    assert headers["Location"].endswith(f"/phasenb/api/tasks/{body['task_id']}")
    task = await until(body["task_id"], "completed")
    assert (task["session"], task["seq"]) == ("http", 8)
    _, results = await api("tasks", body["task_id"], "results")
    assert [result["output"] for result in results["results"]] == [{"rows": 3}, 6, 7]


async def test_a_launch_that_is_known_is_the_task_that_it_made(post, open_socket):
    body = {"agent": "three", "inputs": {"path": "a"}, "idempotency_key": "once", "session": "nb:one"}
    first, again = await post("tasks", body=body), await post("tasks", body=body)
    assert (first[0], again[0], again[1]["duplicate"]) == (201, 200, True)
    assert again[1]["task_id"] == first[1]["task_id"]
    body.pop("idempotency_key")
    by_header = await post("tasks", body=body, headers={"Idempotency-Key": "once"})
    assert by_header[1]["task_id"] == first[1]["task_id"]
    on_the_socket = await (await open_socket("nb:one")).ask(
        "launch", agent="three", inputs={"path": "a"}, idempotency_key="once"
    )
    assert (on_the_socket["task_id"], on_the_socket["duplicate"]) == (first[1]["task_id"], True)
    assert (await post("tasks", body={**body, "session": "nb:two"}, headers={"Idempotency-Key": "once"}))[0] == 201


async def test_the_span_of_a_launch_is_its_header(post, app):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    other = trace.replace("b7", "c8")
    await app.ready()
    for headers, fields, stored in (
        ({"traceparent": trace}, {}, trace),
        ({"traceparent": trace}, {"traceparent": other}, other),
        ({"traceparent": "rubbish"}, {}, None),  # W3C: go on without
    ):
        body = {"agent": "three", "inputs": {"path": "a"}, **fields}
        _, answer, _ = await post("tasks", body=body, headers=headers)
        assert (await app.host.store.launch(answer["task_id"])).traceparent == stored
    assert (await post("tasks", body={"agent": "three", "traceparent": "rubbish"}))[0] == 400


async def test_steering(post, api, until):
    task_id = await launched(post, "slow", inputs={})
    await until(task_id, "running")
    assert (await post("tasks", task_id, "pause"))[0] == 200
    assert (await post("tasks", task_id, "resume"))[1]["state"] == "running"
    status, task, _ = await post("tasks", task_id[-8:], "cancel")
    assert (status, task["task_id"], task["state"]) == (200, task_id, "cancelling")
    cancelled = await until(task_id, "cancelled")
    status, error, _ = await post("tasks", task_id, "pause")
    assert (status, error["code"], error["details"]["state"]) == (409, "illegal_transition", "cancelled")
    assert (await post("tasks", task_id, "retry", body={"if_seq": 1}))[1]["code"] == "conflict"
    status, task, _ = await post("tasks", task_id, "retry", body={"if_seq": cancelled["seq"]})
    assert (status, task["state"] in ("queued", "running")) == (200, True)
    await post("tasks", task_id, "cancel")
    await until(task_id, "cancelled")


async def test_gates_are_answered(post, until):
    options = {"approve_before": ["planning", "implementation"]}
    task_id = await launched(post, options=options)
    gate = (await until(task_id, "awaiting_approval"))["approval"]
    denied = {"phase": "planning", "if_seq": gate["seq"], "reason": "look closer", "redo": "research"}
    assert (await post("tasks", task_id, "deny", body=denied))[0] == 200
    again = await until(task_id, "awaiting_approval")
    assert (await post("tasks", task_id, "approve", body={"phase": "planning", "if_seq": gate["seq"]}))[0] == 409
    answer = {"phase": "planning", "if_seq": again["approval"]["seq"], "edit": {"rows": 10}, "note": "rounded"}
    assert (await post("tasks", task_id, "approve", body=answer))[0] == 200
    gate = (await until(task_id, "awaiting_approval"))["approval"]
    assert (gate["phase"], gate["output"]) == ("implementation", 20)
    await post("tasks", task_id, "deny", body={"phase": gate["phase"], "if_seq": gate["seq"], "reason": "enough"})
    await until(task_id, "cancelled")


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        (("tasks",), {"agent": "nobody"}, 422, "unknown_agent"),
        (("tasks",), {"agent": "three", "inputs": {"paht": 1}}, 422, "invalid_launch"),
        (("tasks",), {"agent": "three", "loud": True}, 400, "bad_message"),
        (("tasks",), {"agent": "three", "code": "aGVsbG8="}, 400, "bad_message"),
        (("tasks",), {}, 400, "bad_message"),
        (("tasks",), "{", 400, "bad_message"),
        (("tasks",), "[]", 400, "bad_message"),
        (("tasks",), {"agent": "three", "session": "a b"}, 400, "bad_message"),
        (("tasks",), {"agent": "three", "inputs": {"path": {"$object": "x"}}}, 400, "bad_message"),
        (
            ("tasks",),
            {"agent": "three", "inputs": {"path": {"$object": f"sha256:{'0' * 64}", "codec": "json"}}},
            404,
            "unknown_object",
        ),
        (("tasks",), {"agent": "three", "inputs": {"path": "x" * 5_000_000}}, 413, "too_large"),
        (("tasks",), {"code": "AAAA"}, 422, "invalid_launch"),
        (("tasks", NOBODYS, "cancel"), {}, 404, "unknown_task"),
        (("tasks", NOBODYS, "cancel"), {"task_id": NOBODYS}, 400, "bad_message"),
        (("tasks", NOBODYS, "resume"), {"launches": True}, 400, "bad_message"),
        (("tasks", NOBODYS, "approve"), {"phase": "planning"}, 400, "bad_message"),
        (("tasks", NOBODYS, "dance"), {}, 404, "not_found"),
        (("agents",), {}, 405, "method_not_allowed"),
    ],
)
async def test_what_is_wrong_is_said_with_its_status(post, path, body, status, code):
    answered, error, headers = await post(*path, body=body)
    assert (answered, error["code"]) == (status, code), error
    assert not re.search(r"(/\w[\w.-]*){2}", json.dumps(error)), "no path of the server's machine"
    assert "Retry-After" not in headers
    assert error["message"]
    assert error.keys() == {"code", "message", "details"}


async def test_a_launch_that_has_to_wait_is_told_how_long(post, api, app, until):
    await app.ready()
    app.host.manager._carrier.limits = replace(app.host.manager._carrier.limits, queued_tasks=1)
    running = []
    while (answer := await post("tasks", body={"agent": "slow"}))[0] == 201:
        running.append(answer[1]["task_id"])
    status, error, headers = answer
    assert len(running) in (3, 4), "two workers, and one that waits"
    assert (status, error["code"], headers["Retry-After"]) == (503, "queue_full", "5")
    assert error["details"] == {"limit": 1, "retry_after_s": None}, "nothing has run yet"
    queues = [(await api("tasks", each))[1]["queue"] for each in running]
    assert {"position": 1, "reason": "Both workers are busy"} in queues
    app.host.manager._carrier.places["process"].held_s.extend([30.0, 60.0, 90.0])
    status, error, headers = await post("tasks", body={"agent": "slow"})
    assert (error["details"]["retry_after_s"], headers["Retry-After"]) == (30.0, "30")
    for task_id in running:
        await post("tasks", task_id, "cancel")
        await until(task_id, "cancelled")


async def test_an_artifact_that_no_attempt_kept_is_named(post, api, until):
    task_id = await launched(post)
    await until(task_id, "completed")
    status, error = await api("tasks", task_id, "artifacts", "research", "1", "other")
    assert (status, error["message"]) == (404, f"there is no artifact {task_id}/research/1/other")


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (errors.RateLimited(0.02), 1),
        (errors.RateLimited(2.5), 3),
        (errors.LaunchesPaused("s", 3, 60.0, "2026-01-01T00:01:30Z"), 90),
        (errors.LaunchesPaused("s", 3, 60.0, "2025-12-31T00:00:00Z"), 1),
        (errors.QueueFull(1000), 5),
        (errors.StoreUnavailable("x.db", "locked"), 5),
        (errors.ConfigError("file", "field", "wrong"), None),
        (errors.Conflict("t", "moved on"), None),
        (None, None),
    ],
)
def test_how_long_to_wait_is_told_where_that_helps(error, seconds):
    assert retry_after_s(error, datetime(2026, 1, 1, tzinfo=UTC)) == seconds


async def test_the_documents_are_sent(api):
    status, document = await api("openapi.json")
    assert (status, document["openapi"]) == (200, "3.1.0")
    assert set(document["paths"]) == {operation.path for operation in OPERATIONS}
    status, document = await api("asyncapi.json")
    assert (status, document["asyncapi"]) == (200, "3.0.0")


async def test_jupyters_own_query_arguments_are_no_mistake(api, jp_serverapp):
    assert (await api("tasks", token=jp_serverapp.identity_provider.token))[0] == 200
    assert (await api("tasks", **{"1764100000000": ""}))[0] == 200  # JupyterLab's way past a cache


class TestResults:
    """As JSON and as an Arrow stream, and what a client makes of them."""

    @pytest.fixture
    def two_tasks(self, post, until):
        async def finished():
            for path in ("a.csv", "b.csv"):
                await until(await launched(post, inputs={"path": path}, session="nb:one"), "completed")

        return finished

    @pytest.mark.parametrize(
        ("accept", "content_type"),
        [
            (None, JSON), ("*/*", JSON), ("application/*", JSON), (ARROW, ARROW), (f"{ARROW}, {JSON};q=0.5", ARROW),
            (f"{ARROW};q=0.1, {JSON}", JSON), (f"{JSON}, {ARROW}", JSON),
        ],
    )  # fmt: skip
    async def test_the_content_type_that_is_asked_for(self, jp_fetch, accept, content_type):
        headers = {"Accept": accept} if accept else {}
        response = await jp_fetch("phasenb", "api", "results", headers=headers)
        assert response.headers.get_list("Content-Type") == [content_type]

    async def test_a_server_without_pyarrow(self, jp_fetch, monkeypatch):
        monkeypatch.setattr("phasenb.server.tasks.arrow_installed", lambda: False)
        response = await jp_fetch("phasenb", "api", "results", headers={"Accept": f"{ARROW}, {JSON};q=0.5"})
        assert response.headers["Content-Type"] == JSON
        response = await jp_fetch("phasenb", "api", "results", headers={"Accept": ARROW}, raise_error=False)
        assert (response.code, json.loads(response.body)["code"]) == (406, "not_acceptable")

    @pytest.mark.parametrize("without", [None, "phasenb.server.tasks", "phasenb.codecs.result_tables"])
    async def test_a_clients_frame_is_the_stores_own(self, two_tasks, app, jp_serverapp, url, monkeypatch, without):
        """With pyarrow on both sides, without it at the server, and without it at the client."""
        await two_tasks()
        if without is not None:
            monkeypatch.setattr(f"{without}.arrow_installed", lambda: False)
        base = url("").removesuffix("phasenb/")
        token = jp_serverapp.identity_provider.token
        async with AsyncClient(base, token=token, session="nb:one") as client:
            view = app.host.store.view(client.welcome.owner, "nb:one")
            for how in ({}, {"last": True}, {"flatten": True}):
                local = await asyncio.to_thread(view.results, **how)
                assert len(local) == 6
                pd.testing.assert_frame_equal(await client.results(**how), local)
            task_id = local["task_id"].iloc[0]
            of_one = await asyncio.to_thread(view.results, task_id=task_id)
            pd.testing.assert_frame_equal(await (await client.task(task_id)).results(), of_one)
            assert len(await client.results(scope="user")) == 6


async def test_a_retry_that_is_waited_for_is_given_up(post, until):
    waits = {"retry": {"wait": 3}, "recovery": {"defaults": {"retry": {"initial_interval": "1h"}}}}
    task_id = await launched(post, "slow", inputs={"seconds": "many"}, options=waits)
    seen = await until(task_id, "retrying")
    assert seen["failures"]["first"]["type"] == "TypeError"
    assert (await post("tasks", task_id, "give_up", body={"if_seq": 1}))[1]["code"] == "conflict"
    assert (await post("tasks", task_id, "give_up", body={"if_seq": seen["seq"]}))[0] == 200
    failed = await until(task_id, "failed")
    assert failed["error"]["error"]["type"] == "TypeError"
    assert (await post("tasks", task_id, "give_up", body={"if_seq": seen["seq"]}))[0] == 200, "asked again, it holds"
    assert (await post("tasks", task_id, "give_up"))[1]["code"] == "illegal_transition"
