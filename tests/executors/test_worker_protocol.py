"""Two releases meet: the shapes of the worker's headers are held to the protocol's number, and a mismatch is told."""

import json
import sys
import textwrap
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from phasenb.core.reports import Attempt
from phasenb.dto.phase import Checkpoint
from phasenb.dto.phase_result import ErrorInfo
from phasenb.errors import LaunchError, RuntimeMismatch
from phasenb.executors import worker_process
from phasenb.executors.frames import FrameParser, frame
from phasenb.executors.worker_headers import HEADERS
from phasenb.executors.worker_messages import PROTOCOL, attempt_of, run_message

from .test_process_workers import runtime
from .worker_shapes import TABLE, shapes

DATA = Path(__file__).parent / "data"
BY_TYPE = {TypeAdapter(header).json_schema()["properties"]["type"]["const"]: header for header in HEADERS}
ATTEMPT = Attempt(
    task_id="01ARZ3NDEKTSV4RRFFQ69G5FAV", phase="planning", attempt=2, owner="ada", agent="agents:flow", code=None,
    values={"path": "x", "research": {"rows": 3}}, objects_url="/store/objects", phases=("research", "planning"),
    checkpoint=Checkpoint(value={"row": 7}), failure=ErrorInfo(type="ValueError", message="no", retryable=False),
    feedback="again", env={"A": "1"}, secrets={"KEY": "env:KEY"}, heartbeat_s=2.5, traceparent="00-1-2-01",
)  # fmt: skip


def recorded(name):
    ((header, payload),) = FrameParser().feed((DATA / name).read_bytes())
    return header, payload


def test_no_shape_changes_without_the_protocols_number():
    table = json.loads(TABLE.read_text())
    told = "a header changed: count PROTOCOL up, and write its shapes with `python -m tests.executors.worker_shapes`"
    assert table.get(str(PROTOCOL)) == shapes(), told
    assert max(map(int, table)) == PROTOCOL


def test_a_recorded_run_is_read_as_it_was_written():
    header, payload = recorded(f"run_{PROTOCOL}.frame")
    assert attempt_of(header, None) == ATTEMPT
    assert payload == b""
    ((now, _),) = FrameParser().feed(frame(run_message(3, ATTEMPT, None, {"KEY": "v"})))
    assert kept(now, header) == header, "what was written then is written now; what came since, an older side ignores"


def kept(now, then):
    """``now`` without the fields that ``then`` does not know."""
    return {name: kept(now[name], then[name]) for name in then} if isinstance(then, dict) else now


@pytest.mark.parametrize("protocol", [1, PROTOCOL])
def test_a_hello_keeps_its_fields_for_ever(protocol):
    header, _ = recorded(f"hello_{protocol}.frame")
    TypeAdapter(BY_TYPE["hello"]).validate_python(header, strict=True)
    assert header["protocol"] == protocol


def test_a_recorded_hello_of_an_older_release_is_a_mismatch_in_words(on_process, tmp_path):
    wrapper = tmp_path / "python"
    wrapper.write_text(
        f"#!{sys.executable}\n"
        + textwrap.dedent(
            f"""
            import socket, sys, time
            from pathlib import Path
            line = socket.socket(fileno=int(sys.argv[4]))
            line.sendall(Path({str(DATA / "hello_1.frame")!r}).read_bytes())
            time.sleep(60)
            """
        )
    )
    wrapper.chmod(0o755)

    async def scenario(executor):
        with pytest.raises(RuntimeMismatch, match=r"speaks protocol 1.*install the same release"):
            await executor.reserve("ada", runtime(tmp_path, executable=str(wrapper)))

    on_process(scenario)


def busy(ctx):
    ctx.update(0.1, "at work")
    print("a line")
    ctx.checkpoint({"row": 7})
    ctx.artifact("table", {"rows": 3})
    for _ in ctx.track(range(3)):
        pass
    return 42


def failing(ctx):
    raise ValueError(ctx.last_checkpoint)


def waiting(ctx):
    ctx.update(0.1, "waiting")
    while True:
        ctx.update(0.2)


def test_what_real_workers_and_hosts_say_has_these_shapes(house, on_process, monkeypatch):
    said = []
    send, hear = worker_process.WorkerProcess.send, worker_process.WorkerProcess._hear
    monkeypatch.setattr(
        worker_process.WorkerProcess,
        "send",
        lambda self, header, *rest: (said.append(header), send(self, header, *rest))[1],
    )
    monkeypatch.setattr(
        worker_process.WorkerProcess,
        "_hear",
        lambda self, header, payload: (said.append(header), hear(self, header, payload))[1],
    )

    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        assert (await house.run(slot, busy, heartbeat_s=0.05)).value() == 42
        await house.run(slot, failing, checkpoint=Checkpoint(value=1), failure=ATTEMPT.failure)
        run = slot.run(house.attempt(waiting))
        await house.until_message(run, "waiting")
        await run.stop(5)
        await slot.release()
        await executor.describe("ada", None, None, house.attempt(busy).code, house.url)
        with pytest.raises(LaunchError):
            await executor.describe("ada", None, "no_such_module:flow", None, house.url)

    on_process(scenario)
    fields = shapes()
    for header in said:
        shape = fields[header["type"]]
        required = {name for name in shape if not name.endswith("?")}
        assert required <= header.keys() <= {name.rstrip("?") for name in shape}, header["type"]
        TypeAdapter(BY_TYPE[header["type"]]).validate_python(header)
    # Only in a long silence, where a worker is retired by itself, and where a phase uses a client.
    quiet = {"beat", "exit", "nested"}
    assert {header["type"] for header in said} >= BY_TYPE.keys() - quiet
