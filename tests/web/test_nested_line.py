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


async def a_link(monkeypatch, handler=None):
    """A link over a real socket, as to a worker, and the worker's end of it."""
    monkeypatch.setattr(nested, "WebSocketMessageHandler", lambda *_, **__: handler)
    worker = WorkerProcess("python")
    worker.returncode = 0  # there is no process to be killed at the end
    ours, theirs = socket.socketpair()
    await asyncio.get_running_loop().create_connection(lambda: worker, sock=ours)
    run = ProcessRun(worker, "implementation", 1)
    clients = SimpleNamespace(manager=None, hub=None)
    return nested._Link(SimpleNamespace(clients=clients, identity=None, send=run.say), 1), theirs


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
