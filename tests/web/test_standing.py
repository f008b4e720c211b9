"""Whether a client may stay: a login that expires, a right that is taken away, a provider that fails."""

import asyncio

import pytest

from phasenb.web.identity import Identity


@pytest.mark.parametrize(("lost", "code"), [("known", 4001), ("read", 4003)])
def test_who_may_not_stay_is_sent_away(make_world, until, lost, code):
    async def main():
        rights = {"known", "read"}
        client = make_world().client_with(rights, ask_every_s=0.001)
        await client.hello()
        await client.ask("ping")
        assert client.wire.closed is None
        rights.discard(lost)
        await until(lambda: client.wire.closed is not None)
        assert client.wire.closed[0] == code

    asyncio.run(main())


def test_a_command_that_may_not_read_any_more_ends_the_connection_after_its_answer(make_world, until):
    async def main():
        rights = {"known", "read"}
        client = await make_world().client_with(rights).hello()
        rights.clear()
        assert (await client.ask("list"))["code"] == "forbidden"
        await until(lambda: client.wire.closed is not None)
        assert client.wire.closed[0] == 4003

    asyncio.run(main())


def test_a_right_to_write_that_is_missing_closes_nothing(make_world):
    async def main():
        client = await make_world().client_with({"known", "read"}).hello()
        assert (await client.ask("cancel", task_id="0" * 26))["code"] == "forbidden"
        assert (await client.ask("ping"))["type"] == "pong"
        assert client.wire.closed is None

    asyncio.run(main())


def test_what_can_not_be_told_closes_nothing_and_is_asked_again(make_world, until, caplog):
    async def main():
        rights = {"known", "read", "broken"}
        client = await make_world().client_with(rights, ask_every_s=0.001).hello()
        await until(lambda: "can't be told" in caplog.text)
        assert client.wire.closed is None
        rights -= {"broken", "known"}
        await until(lambda: client.wire.closed is not None)
        assert client.wire.closed[0] == 4001
        client.handler.closed()

    asyncio.run(main())


def test_nobody_is_asked_about_after_the_end(make_world):
    async def main():
        client = await make_world().client_with({"known", "read"}, ask_every_s=0.001).hello()
        client.handler.closed()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert all(timer.cancelled() for timer in asyncio.get_running_loop()._scheduled)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("command", "fields"), [("hello", {"protocol": 1, "session": "nb:one"}), ("subscribe", {}), ("subscribe_feed", {})]
)
def test_what_is_asked_by_one_that_goes_meanwhile_leaves_nothing_behind(make_world, make_task, command, fields):
    async def main():
        world = make_world()
        task = make_task(world)
        await task.start()
        client = world.client()
        if command != "hello":
            await client.hello()

        async def goes(action, task_id):
            client.handler.closed()
            return True

        client.handler._identity = Identity(owner="ada", name="Ada", may=goes)
        await client.send(command, **fields, **({"task_id": task.task_id} if command == "subscribe" else {}))
        hub = world.hub
        assert (hub.connections, hub._watchers, hub._feeds) == (0, {}, {})
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
