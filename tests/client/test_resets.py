"""A connection that is reset is told as that, whenever it was."""

import asyncio
import socket
import struct

import pytest

from phasenb.client.http_backend import HttpBackend
from phasenb.errors import ServerUnreachable
from tests.conftest import listening

RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing resets (socket(7))


@pytest.fixture
def resetting():
    """The port of a server that resets each connection when it has heard its first bytes."""

    def reset(connection):
        connection.recv(10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    with listening(reset) as port:
        yield port


def asked(url):
    with pytest.raises(ServerUnreachable) as caught:
        asyncio.run(HttpBackend(url, "t").logs("01X", 0))
    return str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_resets_has_reset_the_connection(resetting, scheme):
    assert "Connection reset by peer" in asked(f"{scheme}://127.0.0.1:{resetting}/")


def test_a_connection_that_is_reset_while_it_is_made_too(monkeypatch):
    def reset(*_, **__):
        raise ConnectionResetError(104, "Connection reset by peer")  # as port forwarders do

    monkeypatch.setattr(socket, "create_connection", reset)
    assert "Connection reset by peer" in asked("http://127.0.0.1:9/")
