"""The extension in a real server: health, launches, events, replay, feed, cancel, HTTP reads."""

import json
import logging
import warnings

import pytest

from phasenb.errors import StoreUnavailable

ALL_DONE = [
    "task_created",
    "phase_started",
    "phase_complete",
    "phase_started",
    "phase_complete",
    "phase_started",
    "phase_complete",
    "task_complete",
]


async def launched(socket, agent="three", **fields):
    answer = await socket.ask("launch", agent=agent, **{"inputs": {"path": "penguins.csv"}, **fields})
    assert answer["type"] == "launched", answer
    return answer["task_id"]


async def test_health(api, app):
    status, body = await api("health")
    assert (status, body["status"], body["protocol"], body["tasks"]) == (200, "ok", 1, 0)
    assert body["version"] == app.version
    assert await api("agents") == (200, {"agents": [{"name": "slow"}, {"name": "three"}]})


async def test_health_says_why_the_store_can_not_be_written_to(api, app):
    assert (await api("health"))[1]["problem"] is None
    app.host.manager.trouble = StoreUnavailable("/a/store", "the disk is full")  # as the newest beat found it
    status, body = await api("health")
    assert (status, body["status"]) == (200, "store_unavailable")
    assert body["problem"] == "the disk is full", "where it is is for those who may run code there"


async def test_an_agent_tells_which_inputs_it_takes(api):
    status, body = await api("agents", "three")
    assert (status, body["name"], body["phases"]) == (200, "three", ["research", "planning", "implementation"])
    inputs = body["inputs"]
    assert (inputs["properties"], inputs["required"]) == ({"path": {"title": "path"}}, ["path"])
    assert (await api("agents", "slow"))[1]["inputs"]["properties"] == {"seconds": {"title": "seconds", "default": 60}}
    status, body = await api("agents", "nobody")
    assert (status, body["code"]) == (422, "unknown_agent")


def test_no_handler_is_public(jp_server_config, jp_configurable_serverapp):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        jp_configurable_serverapp()
    assert [str(each.message) for each in caught if each.category.__name__ == "JupyterServerAuthWarning"] == []


async def test_a_launch_runs_and_its_events_come_without_a_gap(open_socket):
    socket = await open_socket()
    task_id = await launched(socket)
    await socket.event("task_complete", task_id)
    events = socket.events(task_id)
    assert [event["type"] for event in events] == ALL_DONE
    assert [event["seq"] for event in events] == list(range(1, 9))
    last = events[-2]["result"]
    assert (last["phase"], last["output"], last["status"]) == ("implementation", 7, "complete")


async def test_what_http_reads_of_a_finished_task(open_socket, api, jp_fetch):
    socket = await open_socket()
    task_id = await launched(socket)
    await socket.event("task_complete", task_id)

    status, task = await api("tasks", task_id)
    assert (status, task["state"], task["percent"]) == (200, "completed", 100.0)
    assert (await api("tasks", task_id[-10:]))[1] == task
    assert (await api("tasks"))[1] == {"tasks": [task], "next": None}
    assert (await api("tasks", session="nb:other"))[1]["tasks"] == []
    assert (await api("tasks", session="nb:one", state="completed"))[1]["tasks"] == [task]

    _, events = await api("tasks", task_id, "events", after_seq=6)
    assert ([event["type"] for event in events["events"]], events["next"]) == (
        ["phase_complete", "task_complete"],
        None,
    )
    _, page = await api("tasks", task_id, "events", limit=3)
    assert ([event["seq"] for event in page["events"]], page["next"]) == ([1, 2, 3], 3)

    _, logs = await api("tasks", task_id, "logs")
    assert [line["text"] for line in logs["lines"]] == ["looked at penguins.csv"]
    assert (await api("tasks", task_id, "logs", after=logs["lines"][-1]["cursor"]))[1] == {"lines": [], "next": None}

    _, results = await api("tasks", task_id, "results")
    assert [result["phase"] for result in results["results"]] == ["research", "planning", "implementation"]
    assert results["results"][0]["task_id"] == task_id
    assert (await api("results", session="nb:one"))[1] == results
    assert (await api("results", session="nb:other"))[1] == {"results": []}

    artifact = await jp_fetch("phasenb", "api", "tasks", task_id, "artifacts", "research", "1", "table")
    assert json.loads(artifact.body) == {"rows": 3}
    assert artifact.headers["Content-Disposition"] == "attachment"
    for number in ("9" * 19, "9" * 5000):
        status, error = await api("tasks", task_id, "artifacts", "research", number, "table")
        assert (status, error["code"]) == (400, "bad_message")
    status, error = await api("tasks", task_id, "artifacts", "research", "1", "other")
    assert (status, error["code"]) == (404, "unknown_object")


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        (("tasks", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), {}, 404, "unknown_task"),
        (("tasks",), {"limit": "many"}, 400, "bad_message"),
        (("tasks",), {"limit": 0}, 400, "bad_message"),
        (("tasks",), {"state": "asleep"}, 400, "bad_message"),
        (("tasks",), {"sesion": "nb:one"}, 400, "bad_message"),
        (("tasks",), {"session": "a b"}, 400, "bad_message"),
        (("tasks", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "events"), {"after_seq": -1}, 400, "bad_message"),
        (("tasks", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "events"), {"after_seq": 10**30}, 400, "bad_message"),
        (("nowhere",), {}, 404, "not_found"),
        (("objects", "abc"), {}, 400, "bad_message"),
        (("objects", "0" * 64), {}, 404, "unknown_object"),
    ],
)
async def test_http_errors_are_json_with_their_status(api, path, query, status, code):
    answered, body = await api(*path, **query)
    assert (answered, body["code"]) == (status, code)
    assert body["message"]
    assert isinstance(body["details"], dict)


async def test_subscribe_replays_and_continues(open_socket):
    socket, watcher = await open_socket(), await open_socket(hello="panel")
    task_id = await launched(socket)
    await socket.event("task_complete", task_id)
    answer = await watcher.ask("subscribe", task_id=task_id, after_seq=5)
    assert (answer["recovered"], answer["seq"]) == (True, 5)
    await watcher.event("task_complete", task_id)
    assert [event["seq"] for event in watcher.events(task_id)] == [6, 7, 8]
    answer = await watcher.ask("subscribe", task_id=task_id, epoch="another store")
    assert (answer["recovered"], answer["snapshot"]["state"]) == (False, "completed")


async def test_feed_and_list_and_cancel(open_socket, app):
    socket, panel = await open_socket(), await open_socket(hello="panel")
    first = await launched(socket, "slow", inputs={})
    page = await panel.ask("subscribe_feed", scope="user")
    assert [task["task_id"] for task in page["tasks"]] == [first]
    assert app.current_activity() == {"tasks": 1}
    second = await launched(socket, "slow", inputs={})
    await panel.event("task_created", second)
    await panel.event("phase_started", first)
    listed = await panel.ask("list", scope="user")
    assert [task["task_id"] for task in listed["tasks"]] == [second, first]
    assert (await panel.ask("list"))["tasks"] == []
    for task_id in (first, second):
        assert (await panel.ask("cancel", task_id=task_id))["type"] == "ok"
    for task_id in (first, second):
        await panel.event("task_cancelled", task_id)


async def test_bad_frames(open_socket):
    socket = await open_socket(hello=None)
    assert (await socket.ask("ping"))["code"] == "hello_required"
    assert (await socket.ask("hello", protocol=1, session="nb:one"))["type"] == "welcome"
    for frame, code in (
        ("{", "bad_message"),
        ("[]", "bad_message"),
        ('{"id": "x", "type": "dance"}', "unknown_type"),
        ('{"id": "x", "type": "ping", "extra": 1}', "bad_message"),
        ('{"id": "x", "type": "ping", "pad": "' + "x" * 5_000_000 + '"}', "too_large"),
    ):
        await socket.connection.write_message(frame)
        assert (await socket.read())["code"] == code
    assert (await socket.ask("ping"))["type"] == "pong"


class TestSmallFrames:
    @pytest.fixture
    def phasenb_config(self, phasenb_config):
        return {**phasenb_config, "websocket": {"max_frame_bytes": 20_000, "max_message_bytes": 10_000}}

    async def test_a_frame_over_the_limit_closes(self, open_socket):
        socket = await open_socket()
        await socket.connection.write_message("x" * 15_000)
        assert (await socket.read())["code"] == "too_large"
        await socket.connection.write_message("x" * 25_000)
        assert await socket.read() is None
        assert socket.connection.close_code == 1009


async def test_another_protocol_closes(open_socket):
    socket = await open_socket(hello=None)
    assert (await socket.ask("hello", protocol=99, session="nb:one"))["code"] == "unsupported_protocol"
    assert await socket.read() is None
    assert socket.connection.close_code == 4002


async def test_a_server_refuses_inline(open_socket):
    socket = await open_socket()
    answer = await socket.ask("launch", agent="three", inputs={"path": "x"}, options={"executor": "inline"})
    assert answer["code"] == "invalid_launch"


async def test_stopping_says_going_away(open_socket, app):
    socket = await open_socket()
    await app.stop_extension()
    assert await socket.read() is None
    assert socket.connection.close_code == 1001


async def test_an_unexpected_failure_tells_an_id_only(api, app, caplog, monkeypatch):
    await app.ready()

    async def broken(*_args, **_kwargs):
        raise RuntimeError("secret")

    monkeypatch.setattr(app.api, "tasks", broken)
    with caplog.at_level(logging.ERROR):
        status, body = await api("tasks")
    assert (status, body["code"]) == (500, "internal")
    assert "secret" not in json.dumps(body)
    assert body["details"]["id"] in caplog.text
