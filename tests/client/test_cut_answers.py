"""A connection that is cut in the middle of an answer: ServerUnreachable, whatever was asked for."""

import asyncio
from contextlib import contextmanager

import pytest

from phasenb.client.http_backend import HttpBackend
from phasenb.codecs.objects import ObjectFolder
from phasenb.errors import ServerUnreachable
from tests.conftest import listening

PIECE = {
    "length": b'Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"results":[',
    "chunked": b'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n{"results":[\r\n',
    "arrow": b"Content-Type: application/vnd.apache.arrow.stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"8\r\n\xff\xff\xff\xff\x10\x00\x00\x00\r\n",
}


@contextmanager
def cutting(status, piece):
    """The backend of a server that answers each request with a piece and goes."""

    def cut(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 %s\r\n%s" % (status, PIECE[piece]))

    with listening(cut) as port:
        yield HttpBackend(f"http://127.0.0.1:{port}/", "secret")


def results(backend, folder):
    return asyncio.run(backend.results())


def frame(backend, folder):
    how = {"task_id": None, "session": None, "last": False, "flatten": False, "aside": {}}
    return asyncio.run(backend.results_frame(None, **how))


def download(backend, folder):
    return backend.download("sha256:" + "0" * 64, folder)


@pytest.mark.parametrize(
    ("ask", "status", "piece"),
    [
        (results, b"200 OK", "length"),
        (results, b"200 OK", "chunked"),
        (results, b"500 Internal Server Error", "length"),
        (frame, b"200 OK", "length"),
        (frame, b"200 OK", "arrow"),
        (download, b"200 OK", "length"),
        (download, b"200 OK", "chunked"),
    ],
)
def test_a_cut_answer_is_an_unreachable_server(ask, status, piece, tmp_path):
    with cutting(status, piece) as backend, pytest.raises(ServerUnreachable, match="cut in the middle of an answer"):
        ask(backend, ObjectFolder(str(tmp_path)))
