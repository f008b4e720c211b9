"""Frames as they go over a real socket: whole, in order, few calls of the system, and told where nobody takes them."""

import asyncio
import os
from contextlib import suppress

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application
from tornado.websocket import WebSocketHandler
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from phasenb.server.socket import TornadoConnection, text_frame

SIZES = (0, 1, 125, 126, 127, 65_535, 65_536, 70_000, 3)


class Served:
    """A Tornado server whose only client is ``client``; the server's end of it is ``connection``."""

    def __init__(self, compression=None, **options):
        self._compression = compression
        self._options = options

    async def __aenter__(self):
        served, opened = self, asyncio.get_running_loop().create_future()

        class Handler(WebSocketHandler):
            def open(self):
                served.stream = self.ws_connection.stream
                opened.set_result(TornadoConnection(self))

            def get_compression_options(self):
                return served._compression

        listening, port = bind_unused_port()
        self._server = HTTPServer(Application([("/", Handler)]))
        self._server.add_sockets([listening])
        self.client = await connect(f"ws://127.0.0.1:{port}/", **self._options)
        self.connection = await opened
        return self

    async def __aexit__(self, *raised):
        await self.client.close()
        self._server.stop()


@pytest.mark.parametrize("compression", [None, {}])
def test_frames_of_all_sizes_arrive_whole_and_in_order(compression):
    async def main():
        async with Served(compression, max_size=None) as served:
            texts = [letter * size for letter in "aé" for size in SIZES]
            for text in texts:
                pending = served.connection.write(text)
                if pending is not None:
                    await pending
            assert [await served.client.recv() for _ in texts] == texts

    asyncio.run(main())


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_is_the_one_that_the_standard_says(size):
    from websockets.frames import Frame, Opcode

    payload = b"x" * size
    assert text_frame(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)


def test_the_frames_of_one_turn_are_written_with_two_calls(monkeypatch):
    async def main():
        async with Served() as served:
            written = []
            write = served.stream.write
            monkeypatch.setattr(served.stream, "write", lambda data: written.append(len(data)) or write(data))
            for number in range(100):
                assert served.connection.write(f"{number:03}") is None
            assert written == [5], "the first one waits for nothing"
            assert [await served.client.recv() for _ in range(100)] == [f"{number:03}" for number in range(100)]
            assert written == [5, 99 * 5]
            served.connection.write("the next turn")
            assert len(written) == 3
            assert await served.client.recv() == "the next turn"

    asyncio.run(main())


def test_what_was_written_is_sent_before_the_close():
    async def main():
        async with Served() as served:
            for text in ("an answer", "another one"):
                served.connection.write(text)
            served.connection.close(4002, "protocol 2")
            assert [await served.client.recv(), await served.client.recv()] == ["an answer", "another one"]
            with pytest.raises(ConnectionClosed):
                await served.client.recv()
            assert served.client.close_code == 4002
            with pytest.raises(ConnectionError):
                served.connection.write("too late")

    asyncio.run(main())


def test_a_client_that_does_not_read_is_waited_for_and_each_bit_it_takes_is_told():
    async def main():
        async with Served() as served:
            other = served.client.transport
            other.pause_reading()
            while (pending := served.connection.write("x" * 1_000_000)) is None:
                pass
            waiting = asyncio.ensure_future(pending)
            taken = served.connection.taken
            await asyncio.sleep(0)
            assert served.connection.taken == taken
            descriptor = other.get_extra_info("socket").fileno()
            while served.connection.taken == taken:
                await asyncio.sleep(0)
                with suppress(BlockingIOError):
                    os.read(descriptor, 100_000)
            assert not waiting.done(), "a part of the frame"
            waiting.cancel()
            other.abort()

    asyncio.run(main())
