"""The host's end of an attempt's line to clients inside its phase: what one that reads nothing, or floods, costs."""

import asyncio
import socket
from types import SimpleNamespace

from phasenb.executors.frames import FrameParser
from phasenb.executors.process_run import ProcessRun
from phasenb.executors.worker_process import WorkerProcess
from phasenb.web import nested
from phasenb.web.connection import Outbox

FRAME = '{"x": "' + "y" * 2_000 + '"}'


async def a_line(monkeypatch, handler=None, api=None):
    """A line over a real socket, as to a worker, and the worker's end of it."""
    monkeypatch.setattr(nested, "WebSocketMessageHandler", lambda *_, **__: handler or Handler())
    worker = WorkerProcess("python")
    worker.returncode = 0  # there is no process to be killed at the end
    ours, theirs = socket.socketpair()
    await asyncio.get_running_loop().create_connection(lambda: worker, sock=ours)
    run = ProcessRun(worker, "implementation", 1)
    clients = nested.NestedClients("here", allow_code=True)
    clients.serve(None, None, api)
    return clients.open(SimpleNamespace(owner="ada", task_id="01X"), run.say), theirs


async def a_link(monkeypatch, handler):
    line, theirs = await a_line(monkeypatch, handler)
    line.take({"kind": "open", "link": 1}, b"")
    return line._links[1], theirs


class Owl:
    """An API whose answers are large, and which counts them."""

    made = 0
    read = 0

    async def results(self, identity, task_id, session):
        self.made += 1

        async def chunks():
            for _ in range(10):
                self.read += 100_000
                yield bytes(100_000)

        return chunks()


def ask(line, number, session="s"):
    arguments = {"task_id": None, "session": session}
    line.take({"kind": "call", "link": number, "name": "results", "arguments": arguments}, b"")


async def heard(theirs, count):
    """What the worker's end hears, until it has ``count`` messages."""
    reader, _ = await asyncio.open_connection(sock=theirs)
    parser, found = FrameParser(), []
    while len(found) < count:
        found += parser.feed(await reader.read(65_536))
    return found


class Handler:
    def __init__(self):
        self.begun = asyncio.Event()

    def opened(self): ...

    def closed(self): ...

    async def receive(self, frame):
        self.begun.set()
        await asyncio.Event().wait()


def test_a_phase_that_reads_nothing_is_waited_for_and_gets_all_later(monkeypatch):
    async def scenario():
        link, theirs = await a_link(monkeypatch, Handler())
        outbox = Outbox(link, maximum=100, maximum_bytes=1_000_000)
        offered = 0
        while outbox.offer(FRAME):
            offered += 1
            assert offered < 5_000, "10 MB went into memory"
        assert outbox.waiting
        assert outbox.full
        taken = outbox.taken
        reader, _ = await asyncio.open_connection(sock=theirs)
        parser, heard = FrameParser(), 0
        while heard < offered:
            for header, payload in parser.feed(await reader.read(65_536)):
                assert (header["kind"], payload.decode()) == ("frame", FRAME)
                heard += 1
        assert outbox.taken > taken
        link.end()

    asyncio.run(scenario())


def test_a_phase_that_sends_more_than_its_host_keeps_loses_its_link(monkeypatch):
    async def scenario():
        monkeypatch.setattr(nested, "MAXIMUM_WAITING_BYTES", 10_000)
        handler = Handler()
        link, theirs = await a_link(monkeypatch, handler)
        link.hear(b"x" * 9_000)
        await handler.begun.wait()
        link.hear(b"x" * 9_000)  # the first one does not wait any more
        link.hear(b"x" * 9_000)
        reader, _ = await asyncio.open_connection(sock=theirs)
        [(header, _)] = FrameParser().feed(await reader.read(65_536))
        assert header["kind"] == "lost"
        assert "4008" in header["reason"]

    asyncio.run(scenario())


def test_an_answer_is_made_when_the_one_before_it_is_taken(monkeypatch):
    async def scenario():
        api = Owl()
        line, theirs = await a_line(monkeypatch, api=api)
        for number in range(20):
            ask(line, number)
        while not api.made:
            await asyncio.sleep(0)
        for _ in range(1_000):  # all that goes on without the worker has gone on
            await asyncio.sleep(0)
        assert api.made == 1
        answers = await heard(theirs, 20)
        assert [(header["kind"], header["link"], len(payload)) for header, payload in answers] == [
            ("answer", number, 1_000_000) for number in range(20)
        ]
        assert api.made == 20
        while line._calls:
            await asyncio.sleep(0)
        assert line._waiting_bytes == 0

    asyncio.run(scenario())


def test_an_answer_that_is_too_large_is_read_no_further(monkeypatch):
    async def scenario():
        monkeypatch.setattr(nested, "MAXIMUM_ANSWER_BYTES", 250_000)
        api = Owl()
        line, theirs = await a_line(monkeypatch, api=api)
        ask(line, 0)
        [(header, _)] = await heard(theirs, 1)
        assert (header["kind"], header["code"]) == ("refused", "too_large")
        assert "more than the limit of 250,000 bytes" in header["message"]
        assert api.read == 300_000

    asyncio.run(scenario())


def test_a_phase_that_asks_more_than_its_host_keeps_is_refused(monkeypatch):
    async def scenario():
        monkeypatch.setattr(nested, "MAXIMUM_WAITING_BYTES", 10_000)
        line, theirs = await a_line(monkeypatch, api=Owl())
        ask(line, 0)
        ask(line, 1, session="s" * 9_000)
        ask(line, 2)
        answers = await heard(theirs, 3)
        assert [(header["link"], header["kind"]) for header, _ in answers] == [
            (1, "refused"), (0, "answer"), (2, "answer"),
        ]  # fmt: skip
        assert answers[0][0]["code"] == "rate_limited"

    asyncio.run(scenario())


def test_a_phases_clients_share_what_may_wait_and_leave_it_at_their_end(monkeypatch):
    async def scenario():
        monkeypatch.setattr(nested, "MAXIMUM_WAITING_BYTES", 10_000)
        monkeypatch.setattr(nested, "MAXIMUM_CLIENTS", 2)
        line, theirs = await a_line(monkeypatch)
        for number in range(3):
            line.take({"kind": "open", "link": number}, b"")
        line.take({"kind": "frame", "link": 0}, b"x" * 6_000)
        line.take({"kind": "frame", "link": 1}, b"x" * 6_000)
        line.take({"kind": "close", "link": 0}, b"")
        assert (line._links, line._waiting_bytes) == ({}, 0)
        found = await heard(theirs, 2)
        assert [(header["kind"], header["link"]) for header, _ in found] == [("lost", 2), ("lost", 1)]
        assert "2 clients at once" in found[0][0]["reason"]
        assert "4008" in found[1][0]["reason"]

    asyncio.run(scenario())
