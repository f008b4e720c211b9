"""TaskApi without a server, as the embedded host uses it."""

import asyncio
import hashlib
import json

import pytest

from phasenb.config.machine import machine_id
from phasenb.core.reports import LogChunk
from phasenb.dto.base import new_ulid
from phasenb.dto.phase import LogLine
from phasenb.errors import BadMessage, Forbidden, UnknownObject, UnknownTask
from phasenb.testing import FakeClock, ScriptedExecutor, finished
from phasenb.web.api import TaskApi
from phasenb.web.http_protocol import EventsQuery, KeptObject, LogsQuery, StorePlace, TasksQuery
from phasenb.web.identity import Identity, local_identity, operating_system_user


async def chunks(*parts):
    for part in parts:
        yield part


async def read(call):
    """The JSON of an answer that is whole, or that comes in chunks."""
    answer = await call
    if not isinstance(answer, bytes):
        answer = b"".join([chunk async for chunk in answer])
    return json.loads(answer)


def test_the_place_of_the_store_is_told_to_who_may_run_code_on_the_same_machine(make_world):
    def who(*denied):
        async def may(action, task_id):
            return action not in denied

        return Identity("ada", "Ada", may)

    async def main():
        place = StorePlace(url="/data/phasenb.db", artifacts="/data/artifacts")
        api = TaskApi(make_world().manager, place=place)
        assert (await api.health(who(), machine_id())).store == place
        assert (await api.health(who("code"), machine_id())).store is None
        assert (await api.health(who(), "another")).store is None
        assert (await api.health(who())).store is None
        with pytest.raises(Forbidden):
            await api.health(who("read"), machine_id())

    asyncio.run(main())


def test_a_finished_task(make_world):
    async def main():
        lines = tuple(LogLine(stream="stdout", text=f"line {n}", at=FakeClock().now()) for n in range(3))
        world = make_world(executor=ScriptedExecutor({"research": [[LogChunk(lines), finished({"rows": 3})]]}))
        me = local_identity()
        client = await world.client(me.owner).hello()
        task_id = await client.launch()
        await client.until_event(task_id, "task_complete")
        api = TaskApi(world.manager, version="1.2.3")
        assert (await api.health(me)).version == "1.2.3"
        task = await api.task(me, task_id)
        assert (task.state, task.percent) == ("completed", 100.0)
        assert (await read(api.tasks(me, TasksQuery())))["tasks"] == [task.as_json()]
        page = await read(api.events(me, task_id, EventsQuery(after_seq=6)))
        assert [event["seq"] for event in page["events"]] == [7, 8]
        page = await read(api.logs(me, task_id, LogsQuery(limit=2)))
        assert ([line["text"] for line in page["lines"]], page["next"]) == (["line 0", "line 1"], 2)
        page = await read(api.logs(me, task_id, LogsQuery(after=page["next"])))
        assert [line["text"] for line in page["lines"]] == ["line 2"]
        page = await read(api.logs(me, task_id, LogsQuery(last=2)))
        assert ([line["text"] for line in page["lines"]], page["next"]) == (["line 1", "line 2"], None)
        results = (await read(api.results(me, task_id=task_id)))["results"]
        assert [result["output"] for result in results] == [{"rows": 3}, "planning", "implementation"]
        for question, query in ((api.task, ()), (api.events, (EventsQuery(),)), (api.logs, (LogsQuery(),))):
            with pytest.raises(UnknownTask):
                await question(me, new_ulid(), *query)
        with pytest.raises(UnknownObject):
            await api.artifact(me, task_id, "research", 1, "model")

    asyncio.run(main())


def test_many_tasks_in_pages(make_world):
    async def main():
        world = make_world()
        me = local_identity()
        client = await world.client(me.owner, limited=False).hello()
        launched = [await client.launch() for _ in range(60)]
        api = TaskApi(world.manager)
        found, before = [], None
        while True:
            page = await read(api.tasks(me, TasksQuery(limit=55, before=before)))
            found += [task["task_id"] for task in page["tasks"]]
            before = page["next"]
            if before is None:
                break
        assert found == launched[::-1]

    asyncio.run(main())


def test_objects_belong_to_their_owner(make_world):
    async def main():
        api = TaskApi(make_world().manager)
        me = local_identity()
        digest = f"sha256:{hashlib.sha256(b'onetwo').hexdigest()}"
        assert await api.put_object(me, digest, chunks(b"one", b"two")) == KeptObject(hash=digest, bytes=6)
        assert b"".join([chunk async for chunk in await api.open_object(me, digest)]) == b"onetwo"
        with pytest.raises(BadMessage):
            await api.put_object(me, digest, chunks(b"other"))
        eve = Identity(owner="eve", name="Eve", may=me.may)
        assert not await api.has_object(eve, digest)
        with pytest.raises(UnknownObject):
            await api.open_object(eve, digest)

    asyncio.run(main())


def test_every_call_asks_for_its_permission(make_world):
    async def main():
        async def never(action, task_id):
            return False

        api, nobody = TaskApi(make_world().manager), Identity(owner="x", name="x", may=never)
        for call in (
            api.agents(nobody),
            api.tasks(nobody, TasksQuery()),
            api.task(nobody, "t"),
            api.events(nobody, "t", EventsQuery()),
            api.logs(nobody, "t", LogsQuery()),
            api.launch(nobody, {"agent": "penguins"}),
            *(api.steer(nobody, kind, "t", {}) for kind in ("cancel", "pause", "resume", "retry")),
            api.steer(nobody, "approve", "t", {"phase": "p", "if_seq": 1}),
            api.steer(nobody, "deny", "t", {"phase": "p", "if_seq": 1, "reason": "no"}),
            api.results(nobody),
            api.artifact(nobody, "t", "p", 1, "n"),
            api.has_object(nobody, "h"),
            api.put_object(nobody, "h", chunks()),
            api.open_object(nobody, "h"),
        ):
            with pytest.raises(Forbidden):
                await call

    asyncio.run(main())


def test_the_owner_does_not_depend_on_the_environment(monkeypatch):
    operating_system_user.cache_clear()
    monkeypatch.setenv("USER", "somebody-else")
    monkeypatch.setenv("LOGNAME", "somebody-else")
    assert operating_system_user() != "somebody-else"
