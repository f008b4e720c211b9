"""Whether a client keeps up: the decision, and what a host does with one that does not."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasenb.web.pace import STALL_S, Pace


def test_a_client_that_takes_nothing_is_borne_for_a_while():
    pace = Pace(maximum_behind=10)
    assert pace.problem(0.0, waiting=True, taken=5, behind=0) is None
    assert pace.problem(STALL_S - 0.1, waiting=True, taken=5, behind=0) is None
    assert "nothing was read for 30 s" in str(pace.problem(STALL_S, waiting=True, taken=5, behind=0))


@pytest.mark.parametrize("step", [{"waiting": True, "taken": 6}, {"waiting": False, "taken": 5}])
def test_each_bit_that_it_takes_begins_the_while_anew(step):
    pace = Pace(maximum_behind=10)
    pace.problem(0.0, waiting=True, taken=5, behind=0)
    assert pace.problem(STALL_S - 1, **step, behind=0) is None
    assert pace.problem(STALL_S + 1, waiting=True, taken=step["taken"], behind=0) is None


@given(st.lists(st.tuples(st.floats(0, 20), st.booleans(), st.booleans()), max_size=40))
def test_only_who_takes_nothing_all_the_while_is_closed(looks):
    pace, now, taken, idle_since = Pace(maximum_behind=10), 0.0, 0, None
    for passed, waiting, reads in looks:
        now, taken = now + passed, taken + reads
        idle_since = None if not waiting else now if reads or idle_since is None else idle_since
        problem = pace.problem(now, waiting=waiting, taken=taken, behind=10)
        assert (problem is not None) == (idle_since is not None and now - idle_since >= STALL_S)


def test_too_many_events_behind_are_too_many_however_well_it_reads():
    pace = Pace(maximum_behind=10)
    assert pace.problem(0.0, waiting=True, taken=1, behind=10) is None
    assert "too slow" in str(pace.problem(0.0, waiting=True, taken=2, behind=11))


def test_events_of_all_tasks_together_are_the_second_bound(make_world, until, make_task):
    async def main():
        world = make_world(queue_events=10, replay_max_events=20)
        slow, quick = await world.client().hello(), await world.client().hello()
        for client in (slow, quick):
            await client.ask("subscribe_feed")
        slow.wire.stall()
        for number in range(15):  # two events of each, so no single task is far behind
            await make_task(world, name=f"N{number}").start()
        world.later(0)
        assert slow.wire.closed is None
        for number in range(15, 30):
            await make_task(world, name=f"N{number}").start()
        world.later(0)
        assert slow.wire.closed == (4008, "too slow for the events of its tasks")
        assert quick.wire.closed is None
        assert len(quick.wire.of("task_created")) == 30
        assert world.hub.counts.slow_clients_closed == 1

    asyncio.run(main())


def test_a_client_that_does_not_read_its_answers_is_not_listened_to_and_then_closed(make_world, until):
    async def main():
        world = make_world(queue_events=10)
        client = await world.client().hello()
        client.wire.stall()
        asked = [asyncio.ensure_future(client.send("ping")) for _ in range(40)]
        await asyncio.sleep(0)
        outbox = client.handler._outbox
        assert len(outbox._queue) == 10
        assert sum(each.done() for each in asked) < 40
        world.later(0)
        world.later(STALL_S)
        assert client.wire.closed == (4008, "nothing was read for 30 s")
        await asyncio.gather(*asked)  # nobody waits for it any more

    asyncio.run(main())


def test_answers_that_waited_come_once_the_client_reads_again(make_world, until):
    async def main():
        world = make_world(queue_events=10)
        client = await world.client().hello()
        client.wire.stall()
        asked = [asyncio.ensure_future(client.send("ping")) for _ in range(40)]
        await asyncio.sleep(0)
        client.wire.go_on()
        await asyncio.gather(*asked)
        await until(lambda: len(client.wire.of("pong")) == 40)
        world.later(STALL_S)
        assert client.wire.closed is None

    asyncio.run(main())
