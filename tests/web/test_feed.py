"""The feed: snapshots in pages, then the events of all tasks in scope, each once."""

import asyncio
import json
from datetime import UTC, datetime

from phasenb.core.attempts import EngineLimits
from phasenb.dto import events as ev
from phasenb.testing import FakeStore
from phasenb.web.feed import PAGE_TASKS, cursor_of, time_of
from phasenb.web.pages import PAGE_BYTES


def test_feed_pages_then_events_of_all_tasks_in_scope(make_world, until, make_task):
    async def main():
        world = make_world()
        mine, other, foreign = (
            make_task(world, name="A"),
            make_task(world, session="nb:two", name="B"),
            make_task(world, "eve", name="C"),
        )
        for task in (mine, other, foreign):
            await task.start()
        one, every = await world.client().hello("nb:one"), await world.client().hello("nb:one")
        page = await one.ask("subscribe_feed")
        assert [task["task_id"] for task in page["tasks"]] == [mine.task_id]
        assert page["next"] is None
        page = await every.ask("subscribe_feed", scope="user")
        assert {task["task_id"] for task in page["tasks"]} == {mine.task_id, other.task_id}
        for task in (mine, other, foreign):
            await task.toggle()
        mine.progress(30)
        new = make_task(world, name="D")
        await new.start()
        assert one.wire.seqs(mine.task_id) == [3, 4]
        assert one.wire.seqs(other.task_id) == []
        assert one.wire.seqs(new.task_id) == [1, 2]
        assert one.wire.of("phase_update")[0]["percent"] == 30
        assert every.wire.seqs(other.task_id) == [3, 4]
        assert every.wire.seqs(foreign.task_id) == []
        await one.ask("unsubscribe", feed=True)
        await mine.toggle()
        assert one.wire.seqs(mine.task_id) == [3, 4]

    asyncio.run(main())


def test_feed_and_subscription_together_give_each_event_once(make_world, until, make_task):
    async def main():
        world = make_world()
        task = make_task(world)
        await task.start()
        client = await world.client().hello()
        await client.ask("subscribe_feed")
        await client.ask("subscribe", task_id=task.task_id)
        await until(lambda: client.wire.seqs(task.task_id) == [1, 2])
        await task.toggle()
        assert client.wire.seqs(task.task_id) == [1, 2, 3, 4]
        await client.ask("unsubscribe", task_id=task.task_id)
        await task.toggle()
        assert client.wire.seqs(task.task_id) == [1, 2, 3, 4, 5, 6]

    asyncio.run(main())


def test_feed_cursor_gives_what_changed_since(make_world, make_task):
    async def main():
        world = make_world()
        client = await world.client().hello()
        nothing = await client.ask("subscribe_feed")
        done = await client.launch()
        await client.until_event(done, "task_complete")
        again = await client.ask("subscribe_feed", after=nothing["cursor"])
        assert [task["task_id"] for task in again["tasks"]] == [done]
        assert (await client.ask("subscribe_feed", after="rubbish"))["code"] == "bad_message"

    asyncio.run(main())


def test_the_cursor_of_a_feed_with_nothing_live_is_no_beginning_of_time(make_world, make_task):
    """Coming back with it told the whole history."""

    async def main():
        world = make_world()
        first, last, other = (make_task(world, session=session, name=name) for session, name in (
            ("nb:one", "A"), ("nb:one", "B"), ("nb:two", "C")
        ))  # fmt: skip
        for task, passed_s in ((first, 0), (last, 1), (other, 2)):
            task.passed_s = passed_s
            await task.start()
            await task.add(ev.CancelRequested, by="ada")
            await task.add(ev.TaskCancelled, by="ada")
        client = await world.client().hello("nb:one")
        page = await client.ask("subscribe_feed")
        assert (page["tasks"], time_of(page["cursor"])) == ([], last.state.updated_at)
        again = await client.ask("subscribe_feed", after=page["cursor"])
        assert [task["task_id"] for task in again["tasks"]] == [last.task_id]  # at that very time: rather twice
        assert again["cursor"] == page["cursor"]
        every = await client.ask("subscribe_feed", scope="user")
        assert time_of(every["cursor"]) == other.state.updated_at

    asyncio.run(main())


def test_a_feed_that_is_taken_up_reads_no_more_than_what_changed(make_world):
    read = []

    class Counted(FakeStore):
        async def tasks(self, *args, **kwargs):
            found = await super().tasks(*args, **kwargs)
            read.extend(found)
            return found

    async def main():
        world = make_world(store=Counted())
        client = await world.client().hello()
        for _ in range(30):
            await client.until_event(await client.launch(), "task_complete")
        await client.ask("subscribe_feed", after=cursor_of(datetime.now(UTC)))
        assert read == []

    asyncio.run(main())


def test_feed_in_several_pages(make_world, until, make_task):
    async def main():
        world = make_world()
        tasks = [make_task(world, name=f"N{number:03}") for number in range(230)]
        for task in tasks:
            await task.start()
        client = await world.client().hello()
        message_id = await client.send("subscribe_feed")
        await until(lambda: len(client.answers(message_id)) == 3)
        pages = client.answers(message_id)
        assert [len(page["tasks"]) for page in pages] == [100, 100, 30]
        assert [page["next"] is None for page in pages] == [False, False, True]
        assert {task["task_id"] for page in pages for task in page["tasks"]} == {task.task_id for task in tasks}

    asyncio.run(main())


def test_a_page_of_the_feed_is_bounded_in_bytes_and_the_store_is_read_in_pages(make_world, until):
    class Counting(FakeStore):
        asked = ()

        async def tasks(self, owner, **where):
            self.asked = (*self.asked, where["limit"])
            return await super().tasks(owner, **where)

    async def main():
        store = Counting()
        limits = EngineLimits(output_inline_bytes=PAGE_BYTES)
        world = make_world(store=store, limits=limits, commands_per_second=10_000)
        client = await world.client().hello()
        for _ in range(PAGE_TASKS + 1):
            await client.launch()
        large = [await client.launch(inputs={"text": "x" * (PAGE_BYTES * 2 // 5)}) for _ in range(5)]
        await until(lambda: len(client.wire.of("task_complete")) == PAGE_TASKS + 6)
        told = await client.send("subscribe_feed", after=cursor_of(datetime(2020, 1, 1, tzinfo=UTC)))
        pages = client.answers(told)
        ids = [task["task_id"] for page in pages for task in page["tasks"]]
        assert len(ids) == len(set(ids)) == PAGE_TASKS + 6
        assert set(large) < set(ids)
        assert all(page["next"] for page in pages[:-1])
        assert pages[-1]["next"] is None
        assert max(len(json.dumps(page["tasks"])) for page in pages) < PAGE_BYTES * 1.1
        assert max(store.asked) == PAGE_TASKS

    asyncio.run(main())
