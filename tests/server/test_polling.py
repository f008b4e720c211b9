"""Behind a proxy that lets no WebSocket through: the same messages by HTTP, for a client of a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from jupyter_server.auth import Authorizer

from phasenb.client.async_client import AsyncClient
from phasenb.client.refusals import refusal
from phasenb.errors import AccessDenied, ConnectionGone, PhasenbError, ProxyRefused, RateLimited, ServerUnreachable
from phasenb.web import polling
from phasenb.web.polling import PolledConnection, PolledConnections


@asynccontextmanager
async def without_upgrade(port: int) -> AsyncIterator[str]:
    """The URL of a proxy that forwards all but the header that asks for a WebSocket, as nginx does by default."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data.replace(b"Upgrade: websocket\r\n", b""))
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()  # the server has ended
            return
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.fixture
def behind(app: Any, jp_serverapp: Any, jp_http_port: int, jp_base_url: str, http_server: Any) -> Any:
    """``async with behind(notices.append) as client``."""

    @asynccontextmanager
    async def connected(notice: Any = print) -> AsyncIterator[AsyncClient]:
        token = jp_serverapp.identity_provider.token
        async with (
            without_upgrade(jp_http_port) as url,
            AsyncClient(url + jp_base_url, token=token, session="py:one", notice=notice) as client,
        ):
            yield client

    return connected


async def test_a_task_is_launched_followed_and_listed_and_it_is_said_once(behind: Any) -> None:
    notices: list[str] = []
    async with behind(notices.append) as client:
        seen: list[Any] = []
        await client.feed(lambda task: seen.append((task.state, task.percent)))
        task = await client.launch("three", path="x")
        assert await task == 7
        assert [each.task_id for each in await client.states()] == [task.task_id]
        async with asyncio.timeout(20):
            while seen[-1][0] != "completed":
                await asyncio.sleep(0.01)
    assert len(notices) == 1
    assert notices[0].startswith("live updates are blocked between here and http://127.0.0.1:")
    assert "the WebSocket was answered with 400" in notices[0]


async def test_a_task_is_steered(behind: Any) -> None:
    async with behind() as client:
        task = await client.launch("slow", seconds=60)
        await task.cancel()
        async with asyncio.timeout(20):
            await task.wait()
        assert task.state == "cancelled"


async def test_a_connection_that_ended_is_opened_anew_and_no_event_is_missed(behind: Any, app: Any) -> None:
    notices: list[str] = []
    async with behind(notices.append) as client:
        running = await client.launch("slow", seconds=60)
        app.polled.close()
        await client.cancel(running.task_id)
        async with asyncio.timeout(20):
            await running.wait()
            assert running.state == "cancelled"
            assert await (await client.launch("three", path="y")) == 7
    assert len(notices) == 1


async def test_what_the_socket_refuses_is_refused_here(behind: Any) -> None:
    async with behind() as client:
        with pytest.raises(PhasenbError, match="nobody"):
            await client.launch("nobody")


class MayNotUsePhasenb(Authorizer):
    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return resource != "phasenb"


class TestWithoutPermission:
    @pytest.fixture
    def jp_server_config(self, jp_server_config: dict[str, Any]) -> dict[str, Any]:
        jp_server_config["ServerApp"]["authorizer_class"] = MayNotUsePhasenb
        return jp_server_config

    async def test_a_right_token_is_told_from_a_wrong_one(self, app: Any, jp_serverapp: Any, url: Any) -> None:
        base, token = url("").removesuffix("phasenb/"), jp_serverapp.identity_provider.token
        with pytest.raises(AccessDenied, match=r"knows you \(Anonymous .*permits `read` on the resource `phasenb`"):
            await AsyncClient(base, token=token, session="py:one").open()
        with pytest.raises(AccessDenied, match="check the token"):
            await AsyncClient(base, token="wrong", session="py:one").open()


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (401, AccessDenied, "check the token"),
        (404, ServerUnreachable, "no phasenb extension"),
        (413, ProxyRefused, "client_max_body_size"),
        (500, ServerUnreachable, "it answers 500 Internal Server Error"),
        (502, ProxyRefused, "down, or still starting"),
        (504, ProxyRefused, "proxy_read_timeout"),
    ],
)
def test_a_status_is_named(status: int, kind: type[PhasenbError], told: str) -> None:
    error = refusal("http://a/", status)
    assert type(error) is kind
    assert told in str(error)


class Messages:
    """What PolledConnections needs of a message handler."""

    def __init__(self, connection: PolledConnection) -> None:
        self.ended = asyncio.Event()

    def opened(self) -> None: ...

    def closed(self) -> None:
        self.ended.set()


def opened_by(polled: PolledConnections, user: tuple[str, str]) -> tuple[str, Messages]:
    made: list[Any] = []

    def messages(connection: PolledConnection) -> Any:
        made.append(Messages(connection))
        return made[-1]

    return polled.open(user, messages), made[-1]


class TestConnections:
    async def test_a_connection_serves_who_opened_it(self) -> None:
        polled = PolledConnections()
        name, _ = opened_by(polled, ("ada", "Ada"))
        polled.of(name, ("ada", "Ada"))
        for user in ("bob", "Bob"), ("ada", "Bob"):
            with pytest.raises(ConnectionGone):
                polled.of(name, user)
        polled.close()
        with pytest.raises(ConnectionGone):
            polled.of(name, ("ada", "Ada"))

    async def test_one_that_nobody_fetches_from_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(polling, "UNFETCHED_S", 0.01)
        polled = PolledConnections()
        name, messages = opened_by(polled, ("ada", "Ada"))
        async with asyncio.timeout(10):
            await messages.ended.wait()
        with pytest.raises(ConnectionGone):
            polled.of(name, ("ada", "Ada"))

    async def test_there_is_a_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(polling, "MAXIMUM", 1)
        polled = PolledConnections()
        opened_by(polled, ("ada", "Ada"))
        with pytest.raises(RateLimited):
            opened_by(polled, ("ada", "Ada"))
        polled.close()

    async def test_nobody_keeps_the_others_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(polling, "MAXIMUM_OF_USER", 1)
        polled = PolledConnections()
        opened_by(polled, ("ada", "Ada"))
        with pytest.raises(RateLimited):
            opened_by(polled, ("ada", "Ada"))
        opened_by(polled, ("bob", "Bob"))
        polled.close()

    async def test_frames_are_fetched_once_in_order_and_the_last_ones_before_the_end(self) -> None:
        connection = PolledConnection()
        assert await connection.fetch(0.0) == []
        fetching = asyncio.ensure_future(connection.fetch(20))
        connection.write("1")
        connection.write("2")
        assert await fetching == ["1", "2"]
        connection.write("3")
        connection.close(4003, "no longer authorised")
        with pytest.raises(ConnectionError):
            connection.write("4")
        assert await connection.fetch(20) == ["3"]
        with pytest.raises(ConnectionGone) as ended:
            await connection.fetch(20)
        assert ended.value.close_code == 4003

    async def test_who_writes_waits_where_nobody_fetches(self) -> None:
        connection = PolledConnection()
        room = connection.write("x" * polling.HELD_BYTES)
        assert room is not None
        waiting = asyncio.ensure_future(room)
        await asyncio.sleep(0)
        assert not waiting.done()
        await connection.fetch(20)
        await waiting
        assert connection.taken == 1
