"""What those who run a server see: Jupyter's /metrics and /api/events, activity, and a trace into the worker."""

import asyncio
import json
import logging

import pytest

from phasenb.server.state_events import SCHEMA_ID

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACED = """
import phasenb.agents.workflow

flow = phasenb.agents.workflow.Workflow("traced", phases=("look",))


@flow.phase("look")
def look():
    from opentelemetry import trace

    return format(trace.get_current_span().get_span_context().trace_id, "032x")
"""


class Kept(logging.Handler):
    """The records of tasks."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        if hasattr(record, "task_id"):
            self.records.append(record)


@pytest.fixture
def metrics(jp_fetch):
    """``await metrics()``: {sample with its labels: value} of /metrics."""

    async def read():
        text = (await jp_fetch("metrics")).body.decode()
        samples = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("phasenb_")]
        return {name: float(value) for name, value in samples}

    return read


async def completed(open_socket, agent, **launch):
    socket = await open_socket()
    launched = await socket.ask("launch", agent=agent, **launch)
    await socket.event("task_complete", launched["task_id"])
    return socket, launched["task_id"]


async def test_metrics_count_attempts_messages_and_connections(open_socket, metrics):
    await completed(open_socket, "three", inputs={"path": "a.csv"})

    found = await metrics()
    assert found['phasenb_attempts_total{status="complete"}'] == 3
    assert found['phasenb_attempt_duration_seconds_count{status="complete"}'] == 3
    assert found['phasenb_tasks_ended_total{state="completed"}'] == 1
    assert found["phasenb_connections"] == 1
    assert found["phasenb_messages_received_total"] == 2
    assert found["phasenb_messages_sent_total"] >= 10  # welcome, launched, eight events
    assert {found[f"phasenb_{name}"] for name in ("queue_length", "waiting_tasks")} == {0}


async def test_failures_are_counted_by_type(open_socket, metrics):
    socket = await open_socket()
    launched = await socket.ask(
        "launch", agent="three", inputs={"path": "a.csv"}, options={"approve_before": ["planning"]}
    )
    gate = await socket.event("approval_requested", launched["task_id"])
    answer = {"task_id": launched["task_id"], "phase": "planning", "if_seq": gate["seq"]}
    assert (await metrics())["phasenb_waiting_tasks"] == 1
    await socket.ask("approve", **answer, edit="not a dict")
    await socket.event("task_error", launched["task_id"])

    found = await metrics()
    assert found['phasenb_failures_total{type="exception"}'] >= 1
    assert found['phasenb_attempts_total{status="failed"}'] >= 1


async def test_a_server_that_stops_takes_its_metrics_along(app, metrics):
    await app.ready()
    assert "phasenb_tasks" in await metrics()
    await app.stop_extension()
    assert not await metrics()


async def test_state_changes_are_jupyter_events_without_what_is_private(app, open_socket, jp_ws_fetch):
    await app.ready()
    listener = await jp_ws_fetch("api", "events", "subscribe")
    _, task_id = await completed(open_socket, "three", inputs={"path": "secret-name.csv"})

    seen = []
    while not seen or seen[-1]["state"] != "completed":
        async with asyncio.timeout(10):
            event = json.loads(await listener.read_message())
        assert event["schema_id"] == SCHEMA_ID
        assert "secret-name" not in json.dumps(event)
        seen.append({name: value for name, value in event.items() if not name.startswith("_")})
    assert {event["task_id"] for event in seen} == {task_id}
    assert [(event["previous"], event["state"], event["seq"]) for event in seen] == [
        (None, "queued", 1), ("queued", "running", seen[1]["seq"]), ("running", "completed", 8),
    ]  # fmt: skip
    listener.close()


async def test_the_log_tells_of_launches_failures_and_ends_with_their_task_id(open_socket, app):
    handler = Kept()
    app.log.addHandler(handler)  # where Jupyter's own handlers are
    try:
        _, completed_id = await completed(open_socket, "three", inputs={"path": "private.csv"})
        socket = await open_socket()
        gated = {"approve_before": ["planning"]}
        launched = await socket.ask("launch", agent="three", inputs={"path": "a"}, options=gated)
        failed_id = launched["task_id"]
        gate = await socket.event("approval_requested", failed_id)
        answer = {"task_id": failed_id, "phase": "planning", "if_seq": gate["seq"]}
        await socket.ask("approve", **answer, edit="not a dict, and private")
        await socket.event("task_error", failed_id)
    finally:
        app.log.removeHandler(handler)
    told = [(record.task_id, record.levelname, record.getMessage()) for record in handler.records]
    assert [text for task_id, _, text in told if task_id == completed_id] == [
        f"task {completed_id}: launched", next(text for _, _, text in told if "completed in" in text),
    ]  # fmt: skip
    assert [(level, text) for task_id, level, text in told if task_id == failed_id] == [
        ("INFO", f"task {failed_id}: launched"),
        ("WARNING", f"task {failed_id}: planning failed, attempt 1: TypeError; next: abort"),
        ("ERROR", f"task {failed_id}: failed: TypeError"),
    ]
    assert "private" not in repr([vars(record) for record in handler.records])
    [failure] = [record for record in handler.records if record.levelname == "WARNING"]
    assert (failure.session, failure.phase, failure.attempt) == ("nb:one", "planning", 1)


async def test_a_trace_goes_from_the_client_into_the_worker(agents_folder, phasenb_config, open_socket):
    (agents_folder / "traced_agents.py").write_text(TRACED)
    socket = await open_socket()
    launched = await socket.ask("launch", agent="traced", traceparent=PARENT)
    done = await socket.event("phase_complete", launched["task_id"])

    assert done["result"]["output"] == PARENT.split("-")[1]


@pytest.fixture
def phasenb_config(phasenb_config):
    phasenb_config["agents"]["traced"] = "traced_agents:flow"
    return phasenb_config


async def test_a_traceparent_that_is_none_is_refused(open_socket):
    socket = await open_socket()
    answer = await socket.ask("launch", agent="three", inputs={"path": "a"}, traceparent="00-1-2-3")
    assert (answer["code"], list(answer["details"]["fields"])) == ("bad_message", ["traceparent"])


async def test_a_running_task_keeps_the_server_active(app, open_socket, jp_serverapp):
    socket = await open_socket()
    launched = await socket.ask("launch", agent="slow")
    await socket.event("phase_started", launched["task_id"])
    assert app.current_activity() == {"tasks": 1}
    app._tell_activity()
    assert "phasenb" in jp_serverapp.web_app.settings["last_activity_times"]
    await socket.ask("cancel", task_id=launched["task_id"])
    await socket.event("task_cancelled", launched["task_id"])
    assert app.current_activity() is None
