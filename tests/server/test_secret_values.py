"""A launcher's secrets on a real server: who may give them, and that no answer, log or file of it tells them."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from phasenb.client.async_client import AsyncClient

SECRET = "sk-very-secret"


def flow() -> Any:
    import phasenb as pn

    asks = pn.Workflow("asks", phases=("ask",))

    @asks.phase("ask")
    def ask() -> int:
        print("asked with", os.environ["OPENAI_API_KEY"])
        return len(os.environ["OPENAI_API_KEY"])

    return asks.with_options(secrets=["OPENAI_API_KEY"], show=False)


async def test_a_clients_secret_is_in_no_log_at_any_level(
    app: Any, url: Any, jp_serverapp: Any, monkeypatch: Any, caplog: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    caplog.set_level(logging.DEBUG)
    for name in ("websockets", "websockets.client", "tornado", "asyncio", "phasenb", "sqlalchemy.engine"):
        caplog.set_level(logging.DEBUG, logger=name)
    asyncio.get_running_loop().set_debug(True)
    base, token = url("").removesuffix("phasenb/"), jp_serverapp.identity_provider.token
    async with AsyncClient(base, token=token, session="py:one") as client:
        task = await client.launch(flow())
        assert await task == len(SECRET)
        told = [line["text"] async for line in task.log_lines()]
    assert told == ["asked with ***"]
    assert SECRET not in caplog.text
    held = [each for each in tmp_path.rglob("*") if each.is_file() and SECRET.encode() in each.read_bytes()]
    assert held == []


@pytest.mark.parametrize(
    "fields",
    [
        {"secret_values": {SECRET: "OPENAI_API_KEY"}},
        {"secret_values": {"OPENAI_API_KEY": 7, SECRET: "x"}},
        {"secret_values": SECRET},
        {"secret_values": {"OPENAI_API_KEY": SECRET * 10_000}},
        {"secret_values": {"OPENAI_API_KEY": SECRET}, SECRET[3:7]: 1},
        {"secret_values": {"OTHER": SECRET}},
        {"secret_values": {}, "options": {"secrets": {"OPENAI_API_KEY": "launcher"}}},
    ],
)
async def test_a_refusal_does_not_echo_it(app: Any, open_socket: Any, api: Any, fields: Any, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    socket = await open_socket()
    answer = await socket.ask("launch", **{"agent": "three", "inputs": {"path": "x"}, **fields})
    assert answer["type"] == "error"
    assert answer["code"] in ("bad_message", "invalid_launch")
    assert SECRET not in f"{answer} {caplog.text}"


async def test_a_launch_over_http_takes_them_too_and_once(app: Any, jp_fetch: Any, api: Any) -> None:
    body = {
        "agent": "three",
        "session": "s",
        "inputs": {"path": "x"},
        "options": {"secrets": {"OPENAI_API_KEY": "launcher"}},
        "secret_values": {"OPENAI_API_KEY": SECRET},
        "idempotency_key": "once",
    }
    import json

    made = [await jp_fetch("phasenb", "api", "tasks", method="POST", body=json.dumps(body)) for _ in range(2)]
    assert [answer.code for answer in made] == [201, 200]
    task_id = json.loads(made[0].body)["task_id"]
    _, task = await api("tasks", task_id)
    assert task["secrets"] == ["OPENAI_API_KEY"]
    _, events = await api("tasks", task_id, "events")
    assert SECRET not in f"{task} {events}"
    await app.host.manager.ended(task_id)
    from phasenb.config.settings import secrets_folder

    assert [each for each in secrets_folder().rglob("*") if each.is_file()] == []


class TestWithoutCode:
    @pytest.fixture
    def phasenb_config(self, phasenb_config: Any) -> Any:
        return {**phasenb_config, "allow_code": False}

    async def test_they_need_the_permission_to_run_code(self, app: Any, open_socket: Any) -> None:
        socket = await open_socket()
        options = {"secrets": {"OPENAI_API_KEY": "launcher"}}
        values = {"OPENAI_API_KEY": SECRET}
        launch = {"agent": "slow", "inputs": {"seconds": 60}}
        refused = await socket.ask("launch", **launch, options=options, secret_values=values)
        assert refused["code"] == "code_not_allowed"
        launched = await socket.ask("launch", **launch)
        for command in ("resume", "retry"):
            refused = await socket.ask(command, task_id=launched["task_id"], secret_values=values)
            assert refused["code"] == "code_not_allowed", refused
        runtime = {"python": "3.11.0", "executable": "/bin/false", "cwd": "/", "host": "x"}
        refused = await socket.ask("retry", task_id=launched["task_id"], runtime=runtime)
        assert refused["code"] == "code_not_allowed"
        assert (await socket.ask("cancel", task_id=launched["task_id"]))["type"] == "ok"
