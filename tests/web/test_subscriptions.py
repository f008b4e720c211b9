"""Replay, snapshot, feed and slow clients: each event once, in order, none missing, whatever happens in between."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phasenb.dto import events as ev
from phasenb.dto.events import PhaseLog, PhaseUpdate
from phasenb.dto.phase import LogLine
from phasenb.errors import StoreUnavailable
from phasenb.testing import FakeClock, FakeStore, ScriptedExecutor


def test_replay_then_live(make_world, until, make_task):
    async def main():
        world = make_world()
        task = make_task(world)
        await task.start()
        await task.toggle()
        client = await world.client().hello()
        answer = await client.ask("subscribe", task_id=task.task_id, after_seq=2, epoch="fake-epoch")
        assert (answer["seq"], answer["recovered"], answer["snapshot"]) == (2, True, None)
        await task.toggle()
        await until(lambda: client.wire.seqs(task.task_id) == [3, 4, 5, 6])
        await task.toggle()
        assert client.wire.seqs(task.task_id) == [3, 4, 5, 6, 7, 8]

    asyncio.run(main())


def test_a_snapshot_where_a_replay_would_not_be_whole(make_world, until, make_task):
    async def main():
        world = make_world(replay_max_events=3)
        task = make_task(world)
        await task.start()
        await task.toggle()
        client = await world.client().hello()
        for fields in ({"after_seq": 0}, {"after_seq": 3, "epoch": "another"}, {"after_seq": 9}):
            answer = await client.ask("subscribe", task_id=task.task_id, **fields)
            assert (answer["seq"], answer["recovered"]) == (4, False), fields
            assert answer["snapshot"]["seq"] == 4
            assert answer["snapshot"]["phases"][0]["status"] == "running"
        await task.toggle()
        await until(lambda: client.wire.seqs(task.task_id) == [5, 6])

    asyncio.run(main())


def test_a_suffix_subscribes_the_whole_id(make_world, make_task):
    async def main():
        world = make_world()
        task = make_task(world, name="SUFFIX")
        await task.start()
        client = await world.client().hello()
        assert (await client.ask("subscribe", task_id="SUFFIX"))["task_id"] == task.task_id

    asyncio.run(main())


def test_an_event_committed_by_another_host_is_not_lost(make_world, until, make_task):
    """It is in the log, but this hub never heard of it: the next event shows the gap, and the log fills it."""

    async def main():
        world = make_world()
        task = make_task(world)
        await task.start()
        client = await world.client().hello()
        await client.ask("subscribe", task_id=task.task_id)
        await until(lambda: len(client.wire.seqs(task.task_id)) == 2)
        await task.add(ev.TaskPaused, by="ada", tell=False)
        await task.add(ev.TaskResumed, by="ada")
        await until(lambda: client.wire.seqs(task.task_id) == [1, 2, 3, 4])

    asyncio.run(main())


def test_an_idle_subscriber_gets_nothing(make_world, until, make_task):
    async def main():
        world = make_world(updates_per_second=1000)
        task = make_task(world)
        await task.start()
        client = await world.client().hello()
        await client.ask("subscribe", task_id=task.task_id)
        await until(lambda: len(client.wire.seqs(task.task_id)) == 2)
        task.progress(10)
        frames = len(client.wire.frames)
        for _ in range(100):
            task.progress(10)
            await asyncio.sleep(0)
        assert len(client.wire.frames) == frames
        assert world.hub._timer is None

    asyncio.run(main())


def test_progress_is_coalesced_and_the_last_comes_before_the_end(make_world, until, make_task):
    async def main():
        world = make_world(updates_per_second=1)
        task = make_task(world)
        await task.start()
        client = await world.client().hello()
        await client.ask("subscribe", task_id=task.task_id, after_seq=2)
        await until(lambda: task.task_id in world.hub._watchers and not client.wire.seqs(task.task_id))
        subscriber = next(iter(world.hub._paces))
        await until(lambda: subscriber.subscriptions[task.task_id].live)
        for percent in range(1, 100):
            task.progress(percent)
        assert [frame["percent"] for frame in client.wire.of("phase_update")] == [1]
        await task.toggle()
        told = [frame["type"] for frame in client.wire.frames[2:]]
        assert told == ["phase_update", "phase_update", "task_paused", "task_resumed"]
        assert client.wire.of("phase_update")[-1]["percent"] == 99

    asyncio.run(main())


def test_held_progress_is_told_when_it_is_due(make_world, until, make_task):
    async def main():
        world = make_world(updates_per_second=100)
        task = make_task(world)
        await task.start()
        client = await world.client().hello()
        await client.ask("subscribe", task_id=task.task_id, after_seq=2)
        subscriber = next(iter(world.hub._paces))
        await until(lambda: subscriber.subscriptions[task.task_id].live)
        task.progress(1)
        task.progress(2)
        task.progress(3)
        await until(lambda: [frame["percent"] for frame in client.wire.of("phase_update")] == [1, 3])

    asyncio.run(main())


def test_running_progress_is_sent_after_the_replay(make_world, until):
    async def main():
        executor = ScriptedExecutor()
        executor.hold("research")
        world = make_world(executor=executor)
        launcher = await world.client().hello()
        task_id = await launcher.launch()
        await launcher.until_event(task_id, "phase_started")
        live = world.manager._live[task_id]
        live.update = PhaseUpdate(task_id=task_id, phase="research", attempt=1, percent=42)
        client = await world.client().hello()
        await client.ask("subscribe", task_id=task_id)
        await until(lambda: bool(client.wire.of("phase_update")))
        assert [frame["type"] for frame in client.wire.frames[1:]] == [
            "subscribed", "task_created", "phase_started", "phase_update",
        ]  # fmt: skip
        assert client.wire.of("phase_update")[0]["percent"] == 42
        executor.let_go("research")
        await client.until_event(task_id, "task_complete")

    asyncio.run(main())


def test_a_client_that_does_not_read_falls_back_to_the_log(make_world, until, make_task):
    async def main():
        world = make_world(queue_events=10)
        task = make_task(world)
        await task.start()
        slow, quick = await world.client().hello(), await world.client().hello()
        for client in (slow, quick):
            await client.ask("subscribe", task_id=task.task_id)
            await until(lambda client=client: len(client.wire.seqs(task.task_id)) == 2)
        slow.wire.stall()
        for _ in range(50):
            await task.toggle()
        assert quick.wire.seqs(task.task_id) == list(range(1, 103))
        subscriber = next(iter(world.hub._paces))
        assert len(subscriber.outbox._queue) <= 10
        slow.wire.go_on()
        await until(lambda: slow.wire.seqs(task.task_id) == list(range(1, 103)))
        await task.toggle()
        assert slow.wire.seqs(task.task_id) == list(range(1, 105))

    asyncio.run(main())


def test_a_broken_transport_is_let_go(make_world, make_task):
    async def main():
        world = make_world()
        task = make_task(world)
        await task.start()
        client = await world.client().hello()
        await client.ask("subscribe", task_id=task.task_id, after_seq=2)
        client.wire.broken = True
        await task.toggle()
        client.handler.closed()
        assert (world.hub.connections, world.hub._watchers, world.hub._feeds) == (0, {}, {})

    asyncio.run(main())


class SlowStore(FakeStore):
    """Reads that take a turn of the loop each, so that things happen in between."""

    async def events(self, task_id, after_seq, limit):
        found = await super().events(task_id, after_seq, min(limit, 50))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return found

    async def tasks(self, owner, **where):
        found = await super().tasks(owner, **where)
        await asyncio.sleep(0)
        return found


steps = st.lists(
    st.sampled_from(["event", "silent", "progress", "stall", "go_on", "subscribe", "feed", "unsubscribe", "turn"]),
    min_size=5,
    max_size=60,
)


def follow(frames, task_id, unsubscribed):
    """Check a client's frames of one task; the seq after the last of them, or None where it is not followed."""
    last, explicit, feed = None, False, False
    for frame in frames:
        kind = frame["type"]
        if kind == "subscribed":
            last, explicit = frame["seq"], True
        elif kind == "feed":
            feed = True
            if not explicit:
                last = next(task["seq"] for task in frame["tasks"] if task["task_id"] == task_id)
        elif kind == "ok" and frame["reply_to"] in unsubscribed:
            explicit = False
            last = last if feed else None
        elif "seq" in frame and frame.get("task_id") == task_id:
            assert last is not None, "an event that nobody asked for"
            assert frame["seq"] == last + 1
            last = frame["seq"]
    return last


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps)
def test_whatever_happens_each_event_comes_once_and_in_order(make_world, until, make_task, steps):
    """From each (re)subscription on the seqs count up by one, and at rest nothing is missing."""

    async def main():
        world = make_world(store=SlowStore(), queue_events=10, updates_per_second=1000)
        task = make_task(world)
        await task.start()
        client = await world.client(limited=False).hello()
        unsubscribed = set()
        for step in steps:
            if step in ("event", "silent"):
                await task.toggle(tell=step == "event")
            elif step == "progress":
                task.progress(task.state.seq % 100)
            elif step == "stall":
                client.wire.go_on()
                client.wire.stall()
            elif step == "go_on":
                client.wire.go_on()
            elif step == "turn":
                await asyncio.sleep(0)
            elif step == "subscribe":
                await client.send("subscribe", task_id=task.task_id, after_seq=task.state.seq // 2)
            elif step == "feed":
                await client.send("subscribe_feed")
            else:
                unsubscribed.add(await client.send("unsubscribe", task_id=task.task_id))
        client.wire.go_on()
        await task.toggle()
        await until(lambda: follow(client.wire.frames, task.task_id, unsubscribed) in (None, task.state.seq))
        assert client.wire.closed is None
        client.handler.closed()
        assert not world.hub._watchers

    asyncio.run(main())


def test_lines_that_a_slow_client_misses_are_counted(make_world, until, make_task):
    async def main():
        world = make_world(queue_events=10, updates_per_second=1000)
        task = make_task(world)
        await task.start()
        slow = await world.client().hello()
        await slow.ask("subscribe", task_id=task.task_id, after_seq=2)
        subscriber = next(iter(world.hub._paces))
        await until(lambda: subscriber.subscriptions[task.task_id].live)
        slow.wire.stall()
        for number in range(1, 1001):
            line = LogLine(stream="stdout", text="x" * 1000, at=FakeClock().now())
            log = PhaseLog(task_id=task.task_id, phase="research", attempt=1, first_line=number, lines=(line,))
            world.hub.log("ada", task.state, log)
            world.hub._flush(task.task_id)
        slow.wire.go_on()

        def told():
            logs = slow.wire.of("phase_log")
            return sum(len(log["lines"]) + log["skipped"] for log in logs)

        await until(lambda: told() == 1000)
        logs = slow.wire.of("phase_log")
        assert sum(log["skipped"] for log in logs) > 0
        after = 0
        for log in logs:
            assert log["first_line"] == after + log["skipped"] + 1
            after = log["first_line"] + len(log["lines"]) - 1
        assert after == 1000

    asyncio.run(main())


def test_a_log_that_can_not_be_read_closes_the_connection(make_world, until, make_task):
    class Failing(FakeStore):
        async def events(self, task_id, after_seq, limit):
            raise StoreUnavailable("phasenb.db", "the disk is gone")

    async def main():
        world = make_world(store=Failing())
        task = make_task(world)
        await task.start()
        client = await world.client().hello()
        await client.ask("subscribe", task_id=task.task_id)
        await until(lambda: client.wire.closed is not None)
        assert client.wire.closed[0] == 1011

    asyncio.run(main())


def test_one_text_serves_every_client(make_world, until, make_task):
    async def main():
        world = make_world()
        task = make_task(world)
        await task.start()
        clients = [await world.client().hello() for _ in range(3)]
        written = []
        for client in clients:
            client.wire.write = written.append
            await client.send("subscribe", task_id=task.task_id, after_seq=2)
        await until(lambda: all(each.subscriptions[task.task_id].live for each in world.hub._paces))
        written.clear()
        await task.add(ev.TaskPaused, by="ada")
        assert len(written) == 3
        assert len({id(text) for text in written}) == 1

    asyncio.run(main())
