"""Uploads and downloads by hash: streamed, checked, owned; and a launch that names one."""

import asyncio
import hashlib
import json
import resource
from pathlib import Path

import pytest

SIZE = 96 * 1024 * 1024


def hex_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def put(jp_fetch):
    async def sent(digest, data, **kwargs):
        response = await jp_fetch(
            "phasenb", "api", "objects", digest, method="PUT", body=data, raise_error=False, **kwargs
        )
        return response.code, json.loads(response.body)

    return sent


def left_over(folder: Path) -> list[str]:
    """Files below the store's folder of objects."""
    return [path.name for path in (folder / "store" / "artifacts").rglob("*") if path.is_file()]


@pytest.mark.parametrize("data", [b"", b"a table", b"x" * 3_000_000])
async def test_what_went_up_comes_down(put, jp_fetch, data):
    assert await put(hex_of(data), data) == (201, {"hash": f"sha256:{hex_of(data)}", "bytes": len(data)})
    down = await jp_fetch("phasenb", "api", "objects", hex_of(data))
    assert down.body == data
    assert down.headers["Content-Type"] == "application/octet-stream"
    assert down.headers["X-Content-Type-Options"] == "nosniff"
    assert (await jp_fetch("phasenb", "api", "objects", hex_of(data), method="HEAD")).code == 200
    absent = await jp_fetch("phasenb", "api", "objects", "0" * 64, method="HEAD", raise_error=False)
    assert absent.code == 404
    assert (await put(hex_of(data), data))[0] == 201  # once more changes nothing


async def test_another_hash_is_refused_and_nothing_is_kept(put, tmp_path):
    status, body = await put(hex_of(b"one thing"), b"another thing")
    assert (status, body["code"]) == (400, "bad_message")
    assert left_over(tmp_path) == []


async def test_a_path_that_is_no_hash_is_refused(put):
    status, body = await put("abc", b"bytes")
    assert (status, body["code"]) == (400, "bad_message")


class TestSmallLimit:
    @pytest.fixture
    def phasenb_config(self, phasenb_config):
        return {**phasenb_config, "max_object_bytes": 1000}

    async def test_too_large_is_refused(self, put, tmp_path):
        assert (await put(hex_of(b"x" * 1000), b"x" * 1000))[0] == 201
        status, body = await put(hex_of(b"x" * 1001), b"x" * 1001)
        assert (status, body["code"]) == (413, "too_large")
        assert {"size": 1001, "limit": 1000}.items() <= body["details"].items()

    async def test_also_without_an_announced_length(self, jp_fetch, tmp_path):
        async def chunks(write):
            await write(b"x" * 1001)

        response = await jp_fetch(
            "phasenb", "api", "objects", hex_of(b"x" * 1001), method="PUT", body_producer=chunks, raise_error=False
        )
        assert (response.code, json.loads(response.body)["code"]) == (413, "too_large")
        assert left_over(tmp_path) == []


async def test_a_large_upload_does_not_pass_through_memory(jp_fetch, jp_serverapp, tmp_path):
    block = bytes(1024 * 1024)
    digest = hashlib.sha256()
    for _ in range(SIZE // len(block)):
        digest.update(block)

    async def chunks(write):
        for _ in range(SIZE // len(block)):
            await write(block)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    response = await jp_fetch(
        "phasenb", "api", "objects", digest.hexdigest(), method="PUT", body_producer=chunks, request_timeout=60
    )
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert json.loads(response.body)["bytes"] == SIZE
    assert grown_kb * 1024 < SIZE / 2
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) >= SIZE


async def test_a_launch_may_name_what_was_uploaded(put, open_socket):
    data = json.dumps("penguins.csv").encode()
    reference = {"$object": f"sha256:{hex_of(data)}", "codec": "json"}
    socket = await open_socket()
    missing = await socket.ask("launch", agent="three", inputs={"path": reference})
    assert (missing["code"], missing["details"]) == (
        "unknown_object", {"hash": reference["$object"], "artifact": None, "damage": None},
    )  # fmt: skip
    await put(hex_of(data), data)
    launched = await socket.ask("launch", agent="three", inputs={"path": reference})
    await socket.event("task_complete", launched["task_id"])


async def test_an_upload_that_breaks_off_leaves_nothing(
    http_server, jp_http_port, jp_base_url, jp_auth_header, app, tmp_path
):
    await app.ready()
    _, writer = await asyncio.open_connection("127.0.0.1", jp_http_port)
    head = (
        f"PUT {jp_base_url}phasenb/api/objects/{'0' * 64} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: {jp_auth_header['Authorization']}\r\nContent-Length: 50000000\r\n\r\n"
    )
    writer.write(head.encode())
    async with asyncio.timeout(10):
        while not left_over(tmp_path):
            writer.write(bytes(1024 * 1024))
            await writer.drain()
        writer.close()
        while left_over(tmp_path):
            await asyncio.sleep(0.01)
