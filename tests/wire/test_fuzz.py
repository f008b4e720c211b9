"""Any frame gets an answer: an answer or an error, never silence, a traceback, or a server that stands still.

The one invariant of the fuzzer: a frame that is no close is answered exactly once (``subscribe_feed``: in pages), under
its own id where that can be read, and the next ``ping`` on the same connection is answered too.
"""

import contextlib
import json
import os
import re
import struct
import time

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from phasenb.web.message_protocol import COMMAND_TYPES, parse_server_message

FRAMES_PER_EXAMPLE = 25
EXAMPLES = 420  # 10,500 frames
ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
TEMPLATES = {
    "hello": {"protocol": 1, "session": "nb:fuzz", "client": "fuzz/1"},
    "launch": {"agent": "nobody", "inputs": {"n": 1}, "options": {"name": "x", "labels": {"a": "b"}, "priority": 1}},
    "subscribe": {"task_id": ULID, "after_seq": 0, "epoch": "e"},
    "subscribe_feed": {"scope": "session"},
    "unsubscribe": {"task_id": ULID},
    "cancel": {"task_id": ULID},
    "pause": {"task_id": ULID},
    "resume": {"task_id": ULID},
    "approve": {"task_id": ULID, "phase": "planning", "if_seq": 3, "edit": {"a": [1]}, "note": "n"},
    "deny": {"task_id": ULID, "phase": "planning", "if_seq": 3, "reason": "no", "redo": "research"},
    "retry": {"task_id": ULID, "from_phase": "planning", "if_seq": 3},
    "give_up": {"task_id": ULID, "if_seq": 3},
    "list": {"scope": "user", "state": "running", "limit": 3, "before": ULID},
    "ping": {},
}

text = st.text(max_size=40)
numbers = st.integers() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | text | st.just("sha256:" + "0" * 64) | st.just("../../../etc/passwd")
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3))
objects = st.fixed_dictionaries({"$object": scalars, "codec": st.sampled_from(["pickle", "json", "x"])}) | values


@st.composite
def mutated(draw):
    """A valid command with fields changed, left out, added, or put where they don't belong."""
    kind = draw(st.sampled_from(sorted(TEMPLATES)))
    frame = {"type": kind, **TEMPLATES[kind]}
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from([*frame, "code", "runtime", "idempotency_key", "options", "id", "inputs"]) | text)
        if draw(st.booleans()):
            frame.pop(name, None)
        else:
            frame[name] = draw(objects)
    return json.dumps(frame)


@st.composite
def broken(draw):
    """Text of a command with characters cut out, doubled or exchanged."""
    frame = draw(mutated())
    start = draw(st.integers(0, len(frame)))
    end = draw(st.integers(start, len(frame)))
    return frame[:start] + draw(text) + frame[end:]


frames = st.one_of(mutated(), broken(), values.map(json.dumps), text, st.binary(max_size=60))


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    """A real server without a rate limit, and one connection to it that said hello."""
    from tests.benchmarks.server import start_server

    folder = tmp_path_factory.mktemp("fuzz")
    os.environ["PHASENB_WEBSOCKET_COMMANDS_PER_SECOND"] = "1000000"
    try:
        process, url, token = start_server(folder)
    finally:
        del os.environ["PHASENB_WEBSOCKET_COMMANDS_PER_SECOND"]
    with contextlib.ExitStack() as sockets:
        yield Fuzzed(url, token, folder, sockets)
    process.terminate()
    process.wait(30)


class Fuzzed:
    def __init__(self, url, token, folder, sockets):
        self.sockets = sockets
        self.address = f"{url.replace('http', 'ws', 1)}phasenb/ws"
        self.token = token
        self.log = folder / "server.log"
        self.private = re.compile(f"{re.escape(token)}|Traceback|{re.escape(str(folder))}|site-packages|\\.py\\b")
        self.sent = 0
        self.slowest_ping_s = 0.0
        self.socket = self.connected()

    def connected(self):
        headers = {"Authorization": f"token {self.token}"}
        socket = self.sockets.enter_context(connect(self.address, additional_headers=headers, max_size=None))
        self.answers(socket, [json.dumps({"type": "hello", "id": "h", "protocol": 1, "session": "nb:fuzz"})])
        return socket

    def answers(self, socket, sent):
        """Send frames, then a ping; what was answered before the pong, and after it by launches that took longer."""
        for frame in sent:
            socket.send(frame)
        self.sent += len(sent)
        started = time.perf_counter()
        socket.send(json.dumps({"type": "ping", "id": "the-last"}))
        found, pong = [], False
        # Events come too once something is subscribed to; an answer says what it answers.
        while not pong or sum(answer["type"] != "feed" or answer["next"] is None for answer in found) < len(sent):
            answer = json.loads(socket.recv(timeout=30))
            if answer.get("reply_to") == "the-last" and answer["type"] == "pong":
                pong = True
                self.slowest_ping_s = max(self.slowest_ping_s, time.perf_counter() - started)
            elif "reply_to" in answer:
                found.append(answer)
        return found


def readable_id(frame):
    try:
        message = json.loads(frame)
    except (ValueError, RecursionError):
        return None
    given = message.get("id") if isinstance(message, dict) else None
    return given if isinstance(given, str) and 0 < len(given) <= 64 else None


def with_id(frame, number):
    """A frame whose id tells it apart, where it has one that the server can read."""
    given = readable_id(frame)
    if given is None:
        return frame
    return json.dumps({**json.loads(frame), "id": f"f{number}"})


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
@given(batch=st.lists(frames, min_size=FRAMES_PER_EXAMPLE, max_size=FRAMES_PER_EXAMPLE))
def exchange(fuzzed, batch):
    sent = [with_id(frame, number) for number, frame in enumerate(batch)]
    found = fuzzed.answers(fuzzed.socket, sent)
    expected = sorted(str(readable_id(frame)) for frame in sent)
    assert sorted({str(answer["reply_to"]) for answer in found}) == sorted(set(expected))
    for answer in found:
        assert parse_server_message(json.dumps(answer)) is not None
        assert not fuzzed.private.search(json.dumps(answer)), answer


def test_ten_thousand_frames_are_answered_and_nothing_leaks(fuzzed):
    exchange(fuzzed)
    assert fuzzed.sent >= 10_000
    log = fuzzed.log.read_text()
    assert fuzzed.token not in log
    assert "Traceback" not in log
    print(f"{fuzzed.sent} frames; the slowest ping, behind {FRAMES_PER_EXAMPLE} of them: {fuzzed.slowest_ping_s:.3f} s")


def test_every_command_is_among_the_templates():
    assert sorted(TEMPLATES) == sorted(COMMAND_TYPES)


def test_a_frame_in_pieces_of_a_byte_is_a_frame(fuzzed):
    socket = fuzzed.connected()
    socket.send(iter(json.dumps({"type": "list", "id": "bytes"})))
    assert json.loads(socket.recv())["type"] == "tasks"
    socket.send(iter([b"\xff", b"{}"]))
    assert json.loads(socket.recv())["code"] == "bad_message"
    socket.close()


def test_too_large_a_message_is_refused_and_too_large_a_frame_closes(fuzzed):
    socket = fuzzed.connected()
    socket.send(json.dumps({"type": "list", "id": "big", "before": "x" * 5_000_000}))
    assert json.loads(socket.recv())["code"] == "too_large"
    assert len(fuzzed.answers(socket, ["{}"])) == 1, "the connection is kept"
    # Only the head of the frame: a payload that the server leaves unread would make TCP reset what it says in parting.
    socket.socket.sendall(struct.pack("!BBQ4x", 0x81, 0x80 | 127, 70_000_000))
    with pytest.raises(ConnectionClosed):
        socket.recv()
    assert socket.close_code == 1009
    assert len(fuzzed.answers(fuzzed.connected(), ["{}"])) == 1, "others never noticed"


@pytest.mark.parametrize("frame", ["", "{", "[]", '{"type": "list", "id": "1"}', b"\x00\xff", '{"type": 1}'])
def test_before_hello_everything_is_answered_with_an_error(fuzzed, frame):
    with connect(fuzzed.address, additional_headers={"Authorization": f"token {fuzzed.token}"}) as socket:
        socket.send(frame)
        answer = json.loads(socket.recv(timeout=10))
    assert answer["type"] == "error"
    assert answer["code"] in ("bad_message", "hello_required")
