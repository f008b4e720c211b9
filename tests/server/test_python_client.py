"""AsyncClient against a real server: what goes wrong in a client, or on the way, does not stop it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from phasenb.client.async_client import AsyncClient
from phasenb.client.http_backend import HttpBackend
from phasenb.config import machine
from phasenb.errors import AccessDenied, BadMessage, Conflict, StoreUnavailable
from phasenb.store import database, migrations


@pytest.fixture
def make_client(app: Any, url: Any, jp_serverapp: Any) -> Any:
    """``async with make_client() as client``."""
    base, token = url("").removesuffix("phasenb/"), jp_serverapp.identity_provider.token
    return lambda: AsyncClient(base, token=token, session="py:one")


async def test_a_callback_that_raises_stops_nothing(make_client: Any, caplog: pytest.LogCaptureFixture) -> None:
    def bad(_: Any) -> None:
        raise ZeroDivisionError("mine")

    async with make_client() as client:
        seen: list[str] = []
        await client.feed(bad)
        await client.feed(lambda task: seen.append(task.state))
        task = await client.launch("three", path="x")
        (await client.subscribe(task.task_id)).listen(bad)
        assert await task == 7
        assert seen[-1] == "completed"
    assert "ZeroDivisionError: mine" in caplog.text


async def test_a_message_that_can_not_be_taken_costs_its_link_only(make_client: Any, monkeypatch: Any) -> None:
    async with make_client() as client:
        take, failed = client._channel._take, []

        def fails_once(message: Any) -> Any:
            if not failed:
                failed.append(message)
                raise ZeroDivisionError
            return take(message)

        monkeypatch.setattr(client._channel, "_take", fails_once)
        async with asyncio.timeout(20):
            await client.ping()
            assert await (await client.launch("three", path="y")) == 7
        assert failed


async def test_a_message_that_can_not_be_read_is_told_to_who_waits_for_it(make_client: Any, monkeypatch: Any) -> None:
    async with make_client() as client:
        receive = client._channel._receive

        def garbled(frame: Any, welcomed: Any) -> None:
            receive(str(frame).replace('"pong"', '"tasks","tasks":7'), welcomed)

        monkeypatch.setattr(client._channel, "_receive", garbled)
        with pytest.raises(BadMessage, match="the server's `tasks` is not valid"):
            await client.ping()
        monkeypatch.undo()
        await client.ping()


async def test_wait_takes_the_timeout_that_the_other_handle_takes(make_client: Any) -> None:
    async with make_client() as client:
        task = await client.launch("slow", seconds=60)
        with pytest.raises(TimeoutError):
            await task.wait(timeout=0.01)
        await task.cancel()
        await task.wait()


async def test_a_retry_is_of_the_task_as_it_was_seen(make_client: Any) -> None:
    async with make_client() as client:
        task = await client.launch("slow", seconds=60)
        await task.cancel()
        await task.wait()
        seen = task._model.state
        await task.retry()
        await task.cancel()
        await task.wait()
        task._model.state = seen
        await task.retry()  # the very same: it holds already
        task._model.state = seen.changed(seq=seen.seq - 1)
        with pytest.raises(Conflict, match="is at event"):
            await task.retry()


async def test_no_more_snapshots_are_fetched_than_are_asked_for(make_client: Any, monkeypatch: Any) -> None:
    async with make_client() as client:
        for _ in range(3):
            await client.launch("three", path="x")
        asked: list[int] = []
        ask = client._channel.ask

        async def counted(command: str, reply: Any, **fields: Any) -> Any:
            asked.append(fields["limit"])
            return await ask(command, reply, **fields)

        monkeypatch.setattr(client._channel, "ask", counted)
        assert len(await client.states(limit=2)) == 2
        assert len(await client.states(limit=2, since="2h")) == 2
        assert asked == [2, 1000], "what is picked here may be any of them"


async def test_the_store_is_told_on_the_same_machine_only(make_client: Any, api: Any, monkeypatch: Any) -> None:
    async with make_client() as client:
        task = await client.launch("three", path="x")
        await task
        view = await client.backend.memory(client.welcome.owner, client.session)
        assert list(view.tasks().index) == [task.task_id]
        assert await asyncio.to_thread(view.output, task.task_id, "research") == {"rows": 3}
        assert (await api("health"))[1]["store"] is None

        monkeypatch.setattr(machine, "machine_id", lambda: "another")
        with pytest.raises(StoreUnavailable, match=r"client\.results\(\)"):
            await client.backend.memory(client.welcome.owner, client.session)


async def test_a_kernel_of_a_newer_release_leaves_the_servers_store_as_it_is(
    make_client: Any, phasenb_config: Any, monkeypatch: Any
) -> None:
    async with make_client() as client:
        await (await client.launch("three", path="x"))
        newer = migrations.Migration(len(migrations.MIGRATIONS) + 1, "newer", lambda cursor: None)
        monkeypatch.setattr(database, "MIGRATIONS", (*migrations.MIGRATIONS, newer))
        with pytest.raises(StoreUnavailable, match=f"reads version {newer.number}"):
            await client.backend.memory(client.welcome.owner, client.session)
    with closing(sqlite3.connect(phasenb_config["store"]["url"])) as store:
        assert store.execute("SELECT max(version) FROM phasenb_migrations").fetchone() == (newer.number - 1,)


class Elsewhere(RequestHandler):
    """Leads on to ``target``, and keeps what came along."""

    def initialize(self, target: str, seen: list[Any]) -> None:
        self.target, self.seen = target, seen

    def get(self) -> None:
        self.seen.append(self.request.headers.get("Authorization"))
        if self.target:
            self.redirect(self.target)


def listening(target: str, seen: list[Any]) -> tuple[HTTPServer, str]:
    sock, port = bind_unused_port()
    server = HTTPServer(Application([(r".*", Elsewhere, {"target": target, "seen": seen})]))
    server.add_socket(sock)
    return server, f"http://127.0.0.1:{port}/"


async def test_a_token_is_not_sent_where_a_server_leads_to() -> None:
    seen: list[Any] = []
    far, target = listening("", seen)
    near, url = listening(target, [])
    backend = HttpBackend(url, "secret")
    try:
        with pytest.raises(AccessDenied, match=f"leads elsewhere, to {target}.*not sent there"):
            await asyncio.to_thread(backend.health)
        with pytest.raises(AccessDenied, match="leads elsewhere"):
            await backend.connect(lambda frame: None, lambda reason, final: None)
    finally:
        far.stop()
        near.stop()
    assert seen == []


class TestPace:
    """500 launches at once on a server that takes fewer: they wait in order, and the client says so."""

    RATE = 3  # a loaded machine launches more slowly than ten a second by itself

    @pytest.fixture
    def phasenb_config(self, phasenb_config: Any) -> Any:
        phasenb_config["websocket"] = {**phasenb_config.get("websocket", {}), "commands_per_second": self.RATE}
        return phasenb_config

    @pytest.fixture
    def told(self) -> list[str]:
        return []

    @pytest.fixture
    def client(self, app: Any, url: Any, jp_serverapp: Any, told: list[str]) -> AsyncClient:
        base, token = url("").removesuffix("phasenb/"), jp_serverapp.identity_provider.token
        return AsyncClient(base, token=token, session="py:one", notice=told.append)

    async def test_many_launches_at_once_go_one_after_the_other_and_it_is_said_once(
        self, client: AsyncClient, told: list[str], app: Any
    ) -> None:
        many = 3 * self.RATE
        async with client:
            host = app.host.hub
            before = host.numbers()["messages_received"]
            async with asyncio.timeout(60):
                launching = [asyncio.create_task(client.launch("three", path=str(n))) for n in range(many)]
                await asyncio.wait(launching, return_when=asyncio.FIRST_COMPLETED)
                await client.ping()  # it does not wait behind them
                assert not all(task.done() for task in launching)
                handles = await asyncio.gather(*launching)
            assert len({handle.task_id for handle in handles}) == many
            [line] = told
            assert line.endswith(
                f" launches are being sent, the server takes {self.RATE} a second (commands_per_second)"
            )
            sent = host.numbers()["messages_received"] - before
            assert sent < 4 * many, "nothing is sent again and again"

    async def test_one_after_the_other_in_a_loop_is_said_too(self, client: AsyncClient, told: list[str]) -> None:
        async with client, asyncio.timeout(60):
            for n in range(4 * self.RATE):
                await client.launch("three", path=str(n))
                if told:
                    break
        assert told == [f"launches wait a moment each: the server takes {self.RATE} a second (commands_per_second)"]
