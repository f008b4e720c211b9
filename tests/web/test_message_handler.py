"""What one connection says and is answered: every command, every refusal."""

import asyncio
import json

from phasenb.errors import StoreUnavailable
from phasenb.testing import ScriptedExecutor, failed, finished

ALL_DONE = [
    "task_created",
    "phase_started",
    "phase_complete",
    "phase_started",
    "phase_complete",
    "phase_started",
    "phase_complete",
    "task_complete",
]


def test_hello_says_who_and_what(make_world):
    async def main():
        client = make_world().client()
        welcome = await client.ask("hello", protocol=1, session="nb:one", client="test/1")
        assert welcome["owner"] == "ada"
        assert welcome["session"] == "nb:one"
        assert welcome["epoch"] == "fake-epoch"
        assert welcome["agents"] == ["penguins"]
        assert welcome["limits"]["max_message_bytes"] == 4_194_304
        assert (await client.ask("hello", protocol=1, session="nb:two"))["code"] == "bad_message"

    asyncio.run(main())


def test_another_protocol_is_refused_and_closed(make_world, until):
    async def main():
        client = make_world().client()
        answer = await client.ask("hello", protocol=2, session="nb:one")
        assert (answer["code"], answer["details"]) == ("unsupported_protocol", {"asked": 2, "supported": 1})
        await until(lambda: client.wire.closed is not None)
        assert client.wire.closed[0] == 4002

    asyncio.run(main())


def test_no_hello_in_time_closes(make_world, until):
    async def main():
        client = make_world().client(hello_timeout_s=0.01)
        client.handler.opened()
        await until(lambda: client.wire.closed is not None)
        assert client.wire.closed[0] == 4009

    asyncio.run(main())


def test_bad_frames_get_an_error_and_leave_the_connection_open(make_world):
    async def main():
        client = make_world(max_message_bytes=2000).client()
        send = client.handler.receive
        await send('{"id": "a", "type": "ping"}')
        await client.hello()
        for frame in (
            "not json",
            "[1, 2]",
            "null",
            b"\xff\xfe",
            '{"id": "b", "type": "dance"}',
            '{"id": "b"}',
            '{"id": "b", "type": 7}',
            '{"type": "ping"}',
            '{"id": "c", "type": "ping", "loud": true}',
            '{"id": "c", "type": "launch"}',
            json.dumps({"id": "d", "type": "ping", "pad": "ö" * 1500}),
        ):
            await send(frame)
        errors = [(error["reply_to"], error["code"]) for error in client.wire.of("error")]
        assert errors == [
            ("a", "hello_required"),
            (None, "bad_message"),
            (None, "bad_message"),
            (None, "bad_message"),
            (None, "bad_message"),
            ("b", "unknown_type"),
            ("b", "bad_message"),
            ("b", "bad_message"),
            (None, "bad_message"),
            ("c", "bad_message"),
            ("c", "bad_message"),
            (None, "too_large"),
        ]
        fields = client.wire.of("error")[-3]["details"]["fields"]
        assert fields == {"loud": "there is no such field (there are: id, type)"}
        assert client.wire.closed is None
        assert (await client.ask("ping"))["type"] == "pong"

    asyncio.run(main())


def test_launch_is_told_then_followed_without_a_gap(make_world):
    async def main():
        world = make_world()
        client = await world.client().hello()
        task_id = await client.launch(inputs={"path": "penguins.csv"})
        await client.until_event(task_id, "task_complete")
        kinds = [frame["type"] for frame in client.wire.frames if frame["type"] != "welcome"]
        assert kinds[0] == "launched"
        assert kinds[1:] == ALL_DONE
        assert client.wire.seqs(task_id) == list(range(1, 9))

    asyncio.run(main())


def test_a_completed_task_is_forgotten_a_failed_one_is_not(make_world, until):
    async def main():
        executor = ScriptedExecutor({"planning": [[failed("ValueError", "no")]] * 3})
        world = make_world(executor=executor)
        client = await world.client().hello()
        recovery = {"defaults": {"retry": {"maximum_attempts": 1}}}
        failing = await client.launch(options={"recovery": recovery})
        await client.until_event(failing, "task_error")
        assert list(world.hub._watchers) == [failing]
        await client.ask("unsubscribe", task_id=failing)
        assert not world.hub._watchers

    asyncio.run(main())


def test_launch_refusals(make_world):
    async def main():
        client = await make_world().client().hello()
        missing = {"$object": f"sha256:{'0' * 64}", "codec": "json"}
        for fields, code in (
            ({"agent": "nobody"}, "unknown_agent"),
            ({"agent": "penguins", "code": "aGk="}, "bad_message"),
            ({"code": 7}, "bad_message"),
            ({"agent": "penguins", "inputs": {"df": missing}}, "unknown_object"),
            ({"agent": "penguins", "inputs": {"df": {"$object": "md5:1", "codec": "json"}}}, "bad_message"),
            ({"agent": "penguins", "options": {"executor": "inline"}}, "invalid_launch"),
            ({"agent": "penguins", "options": {"phases": ["other"]}}, "invalid_launch"),
            ({"agent": "penguins", "options": {"secrtes": {}}}, "bad_message"),
        ):
            answer = await client.ask("launch", **fields)
            assert (answer["type"], answer["code"]) == ("error", code), fields

    asyncio.run(main())


def test_code_needs_its_own_permission(make_world):
    async def main():
        world = make_world()
        runtime = {"python": "3.11.7", "executable": "/usr/bin/python3", "cwd": "/", "host": "h"}
        pickled = {"$object": f"sha256:{'0' * 64}", "codec": "pickle"}
        recovery = {"phases": {"planning": {"fallback": "os:system"}}}
        client = await world.client(denied=("code",)).hello()
        for fields in (
            {"code": "aGk=", "options": {"phases": ["research"]}},
            {"agent": "penguins", "runtime": runtime},
            {"agent": "penguins", "inputs": {"model": pickled}},
            {"agent": "penguins", "options": {"recovery": recovery}},
        ):
            assert (await client.ask("launch", **fields))["code"] == "code_not_allowed", fields
        assert (await client.ask("launch", agent="penguins"))["type"] == "launched"

    asyncio.run(main())


def test_each_action_is_asked_for(make_world):
    async def main():
        world = make_world()
        task_id = await (await world.client().hello()).launch()
        watcher = await world.client(denied=("execute", "write")).hello()
        assert (await watcher.ask("launch", agent="penguins"))["details"] == {"action": "execute"}
        assert (await watcher.ask("cancel", task_id=task_id))["code"] == "forbidden"
        assert (await watcher.ask("subscribe", task_id=task_id))["type"] == "subscribed"
        stranger = world.client(denied=("read",))
        assert (await stranger.ask("hello", protocol=1, session="s"))["code"] == "forbidden"

    asyncio.run(main())


def test_the_same_idempotency_key_is_one_task(make_world, until):
    async def main():
        world = make_world()
        client = await world.client().hello()
        first = await client.ask("launch", agent="penguins", idempotency_key="k")
        await client.until_event(first["task_id"], "task_complete")
        other = await world.client().hello()
        again = await other.ask("launch", agent="penguins", idempotency_key="k")
        assert (again["task_id"], again["duplicate"]) == (first["task_id"], True)
        await until(lambda: other.wire.seqs(first["task_id"]) == list(range(1, 9)))
        stranger = await world.client("eve").hello()
        assert (await stranger.ask("launch", agent="penguins", idempotency_key="k"))["duplicate"] is False

    asyncio.run(main())


def test_another_owners_task_is_unknown(make_world):
    async def main():
        world = make_world()
        task_id = await (await world.client().hello()).launch()
        eve = await world.client("eve").hello()
        for command in ("subscribe", "cancel"):
            foreign = await eve.ask(command, task_id=task_id)
            absent = await eve.ask(command, task_id="01ARZ3NDEKTSV4RRFFQ69G5FAV")
            assert foreign["code"] == absent["code"] == "unknown_task"
            assert foreign["message"] == absent["message"].replace("01ARZ3NDEKTSV4RRFFQ69G5FAV", task_id)
        assert (await eve.ask("list", scope="user"))["tasks"] == []
        assert not eve.wire.seqs(task_id)

    asyncio.run(main())


def test_cancel(make_world):
    async def main():
        executor = ScriptedExecutor()
        executor.hold("planning")
        client = await make_world(executor=executor).client().hello()
        task_id = await client.launch()
        await client.until_event(task_id, "phase_complete")
        assert (await client.ask("cancel", task_id=task_id))["type"] == "ok"
        await client.until_event(task_id, "task_cancelled")
        assert client.wire.of("cancel_requested")[0]["by"] == "Ada"
        assert (await client.ask("cancel", task_id=task_id[-8:]))["type"] == "ok"
        done = await client.launch()
        executor.let_go("planning")
        await client.until_event(done, "task_complete")
        refused = await client.ask("cancel", task_id=done)
        assert refused["code"] == "illegal_transition"
        assert (refused["details"]["state"], refused["details"]["task_id"]) == ("completed", done)

    asyncio.run(main())


def test_list_pages_newest_first(make_world):
    async def main():
        world = make_world()
        one, two = await world.client().hello("nb:one"), await world.client().hello("nb:two")
        mine = [await one.launch() for _ in range(3)]
        theirs = await two.launch()
        page = await one.ask("list", limit=2)
        assert [task["task_id"] for task in page["tasks"]] == [mine[2], mine[1]]
        rest = await one.ask("list", limit=2, before=page["next"])
        assert ([task["task_id"] for task in rest["tasks"]], rest["next"]) == ([mine[0]], None)
        everything = await one.ask("list", scope="user")
        assert [task["task_id"] for task in everything["tasks"]] == [theirs, *reversed(mine)]
        await one.until_event(mine[2], "task_complete")
        assert len((await one.ask("list", state="completed"))["tasks"]) >= 1

    asyncio.run(main())


def test_too_many_commands_are_told_when_to_come_again(make_world):
    async def main():
        client = await make_world(commands_per_second=5).client().hello()
        answers = [await client.ask("ping") for _ in range(8)]
        assert [answer["type"] for answer in answers[:4]] == ["pong"] * 4
        limited = answers[-1]
        assert limited["code"] == "rate_limited"
        assert 0 < limited["details"]["retry_after_s"] <= 0.2

    asyncio.run(main())


def test_in_process_clients_have_no_rate(make_world):
    async def main():
        client = await make_world(commands_per_second=1).client(limited=False).hello()
        assert [(await client.ask("ping"))["type"] for _ in range(20)] == ["pong"] * 20

    asyncio.run(main())


def test_a_store_that_is_gone_is_told(make_world):
    async def main():
        world = make_world()
        client = await world.client().hello()
        world.store.refuse.append(StoreUnavailable("phasenb.db", "the disk is full"))
        answer = await client.ask("launch", agent="penguins")
        assert (answer["code"], answer["details"]["problem"]) == ("store_unavailable", "the disk is full")

    asyncio.run(main())


def test_the_unexpected_is_logged_under_an_id_and_tells_nothing_else(make_world, caplog):
    async def main():
        world = make_world()
        client = await world.client().hello()
        world.store.refuse.append(RuntimeError("secret path /home/ada"))
        answer = await client.ask("launch", agent="penguins")
        assert answer["code"] == "internal"
        assert "secret" not in json.dumps(answer)
        assert answer["details"]["id"] in caplog.text
        assert "secret path" in caplog.text
        assert (await client.ask("ping"))["type"] == "pong"

    asyncio.run(main())


def test_progress_and_lines_reach_the_launcher(make_world):
    async def main():
        from datetime import UTC, datetime

        from phasenb.core.reports import LogChunk
        from phasenb.dto.phase import LogLine, Step

        line = LogLine(stream="stdout", text="hello", at=datetime.now(UTC))
        script = {"planning": [[Step(percent=10), Step(percent=50), LogChunk((line,)), Step(percent=90), finished(1)]]}
        client = await make_world(executor=ScriptedExecutor(script)).client().hello()
        task_id = await client.launch()
        await client.until_event(task_id, "task_complete")
        kinds = [frame["type"] for frame in client.wire.frames[2:]]
        percents = [frame["percent"] for frame in client.wire.of("phase_update")]
        assert (percents[0], percents[-1]) == (10, 90)
        assert client.wire.of("phase_log")[0]["lines"][0]["text"] == "hello"
        last_update = len(kinds) - 1 - kinds[::-1].index("phase_update")
        assert kinds[last_update + 1 :][0] == "phase_complete"

    asyncio.run(main())
