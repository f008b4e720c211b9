"""Lists of many and of large tasks: pages that end in time, and positions that are worked out once."""

import asyncio
import json
import threading

from phasenb.core.attempts import EngineLimits
from phasenb.core.line import Line
from phasenb.core.live_task import Places
from phasenb.dto.base import new_ulid
from phasenb.dto.task_state import TaskState
from phasenb.testing import FakeClock
from phasenb.web import pages
from phasenb.web.pages import PAGE_BYTES, page_of


def snapshots(count, size=10):
    at = FakeClock().now()
    made = [
        TaskState(
            task_id=new_ulid(), session="s", name="n", agent="a", created_at=at, updated_at=at, inputs={"x": "y" * size}
        )
        for _ in range(count)
    ]
    return made[::-1]


def test_a_page_ends_where_it_is_large_and_the_next_one_goes_on():
    tasks = snapshots(60, PAGE_BYTES // 10)

    async def main():
        found, left = [], tasks
        while left:
            text, following = await page_of(left, None)
            page = json.loads(f"[{text}]")
            assert len(text) <= PAGE_BYTES
            found += [task["task_id"] for task in page]
            assert following == (found[-1] if len(found) < len(tasks) else None)
            left = [task for task in tasks if following is not None and task.task_id < following]
        return found

    assert asyncio.run(main()) == [task.task_id for task in tasks]


def test_one_that_is_larger_than_a_page_has_a_page_of_its_own():
    one, other = snapshots(2, PAGE_BYTES)

    async def main():
        return await page_of([one, other], "after both")

    text, following = asyncio.run(main())
    assert text.count("task_id") == 1
    assert following == one.task_id


def test_a_long_page_is_made_off_the_loop(monkeypatch):
    threads = []
    make = pages._texts_of
    monkeypatch.setattr(pages, "_texts_of", lambda *args: threads.append(threading.current_thread()) or make(*args))

    async def main():
        await page_of(snapshots(pages.AT_ONCE), None)
        await page_of(snapshots(pages.AT_ONCE + 1), None)

    asyncio.run(main())
    assert threads[0] is threading.main_thread()
    assert threads[1] is not threading.main_thread()


def test_a_list_over_the_socket_and_its_next_page(make_world):
    async def main():
        world = make_world(limits=EngineLimits(output_inline_bytes=1_000_000))
        client = await world.client().hello()
        launched = [await client.launch(inputs={"x": "y" * 900_000}) for _ in range(12)]
        first = await client.ask("list", limit=12)
        assert 0 < len(first["tasks"]) < 12
        found, page = [], first
        while True:
            found += [task["task_id"] for task in page["tasks"]]
            if page["next"] is None:
                break
            page = await client.ask("list", limit=12, before=page["next"])
        assert found == launched[::-1]

    asyncio.run(main())


def test_positions_are_worked_out_once_for_a_list_and_anew_when_the_queue_changes(monkeypatch):
    async def main():
        places = Places(1)
        line, worked_out = places.line, []
        monkeypatch.setattr(line, "order", lambda: worked_out.append(1) or Line.order(line))
        await places.wait("ada", "runs", 0)
        waits = {name: asyncio.create_task(places.wait("ada", name, 0)) for name in "abc"}
        await asyncio.sleep(0)
        assert [line.position(name) for name in "abc"] == [1, 2, 3]
        assert line.position("runs") is None
        assert len(worked_out) == 1
        assert len(line) == 3
        waits["b"].cancel()
        await asyncio.sleep(0)
        assert [line.position(name) for name in "abc"] == [1, None, 2]
        first = asyncio.create_task(places.wait("ada", "first", 5))
        await asyncio.sleep(0)
        assert [line.position(name) for name in ("first", "a", "c")] == [1, 2, 3]
        assert len(line) == 3
        places.give_back()
        assert [line.position(name) for name in ("first", "a", "c")] == [None, 1, 2]
        assert len(line) == 2
        await first
        places.give_back()
        waits["a"].cancel()  # at the moment when it gets its place: it goes to the next
        await asyncio.gather(*waits.values(), return_exceptions=True)
        assert (places.used, len(line)) == (1, 0)
        for wait in (*waits.values(), first):
            wait.cancel()

    asyncio.run(main())
