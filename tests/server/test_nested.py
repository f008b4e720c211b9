"""Launches inside phases where a server has users of its own, and where it takes no code."""

import asyncio
import json

import pytest
from jupyter_server.auth.identity import IdentityProvider, User

AGENTS = """
import phasenb as pn

below = pn.Workflow("below")


@below.implementation
def low(n):
    return n * 10


above = pn.Workflow("above")


@above.implementation
def high(ctx, n, how):
    task = pn.launch("below", n=n) if how == "name" else below.launch(n=n)
    return {"child": task.task_id, "result": task.result(60), "session": pn.connect().session}
"""


class ByName(IdentityProvider):
    """``Authorization: token NAME`` is NAME: as a hub has it."""

    def get_user(self, handler):
        name = self.get_token(handler)
        handler._token_authenticated = bool(name)  # as jupyter_server's own has it: no XSRF check then
        return User(name) if name else None


@pytest.fixture
def jp_server_config(jp_server_config, agents_folder, phasenb_config):
    (agents_folder / "nested_test_agents.py").write_text(AGENTS)
    phasenb_config["agents"] = {"above": "nested_test_agents:above", "below": "nested_test_agents:below"}
    jp_server_config["ServerApp"]["identity_provider_class"] = ByName
    return jp_server_config


async def ask(jp_fetch, user, *path, **more):
    answer = await jp_fetch(
        "phasenb", "api", *path, headers={"Authorization": f"token {user}"}, raise_error=False, **more
    )
    return answer.code, json.loads(answer.body)


async def launched(jp_fetch, user, **inputs):
    """The task once it has ended, and the output of its phase."""
    body = {"agent": "above", "inputs": inputs, "session": "nb:one"}
    _, told = await ask(jp_fetch, user, "tasks", method="POST", body=json.dumps(body))
    async with asyncio.timeout(120):
        while (task := (await ask(jp_fetch, user, "tasks", told["task_id"]))[1])["state"] not in (
            "completed",
            "failed",
        ):
            await asyncio.sleep(0.05)
    _, results = await ask(jp_fetch, user, "tasks", told["task_id"], "results")
    return task, results["results"][-1]["output"]


async def test_a_child_is_its_parents_owners_and_nobody_elses(jp_fetch):
    task, output = await launched(jp_fetch, "ada", n=4, how="name")
    assert (task["state"], output["result"], output["session"]) == ("completed", 40, "nb:one")
    _, child = await ask(jp_fetch, "ada", "tasks", output["child"])
    assert (child["parent"], child["session"]) == (task["task_id"], "nb:one")
    assert (await ask(jp_fetch, "eve", "tasks", output["child"]))[1]["code"] == "unknown_task"
    assert (await ask(jp_fetch, "eve", "tasks"))[1]["tasks"] == []


async def test_a_phase_may_bring_code_where_its_host_takes_any(jp_fetch):
    task, output = await launched(jp_fetch, "ada", n=4, how="code")
    assert (task["state"], output["result"]) == ("completed", 40)


class TestNoCode:
    @pytest.fixture
    def jp_server_config(self, jp_server_config, phasenb_config):
        phasenb_config["allow_code"] = False
        return jp_server_config

    async def test_where_a_host_takes_no_code_a_phase_launches_registered_agents_only(self, jp_fetch):
        task, output = await launched(jp_fetch, "ada", n=4, how="name")
        assert (task["state"], output["result"]) == ("completed", 40)
        task, _ = await launched(jp_fetch, "ada", n=4, how="code")
        assert task["error"]["error"]["type"] == "phasenb.CodeNotAllowed"
