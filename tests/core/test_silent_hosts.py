"""Hosts that live and can't show it: what they run ends before others start it anew, and goes on where nobody could."""

import asyncio
import logging

import pytest

from phasenb.core.keeper import Keeper
from phasenb.core.phase_manager import PhaseManager
from phasenb.core.ports import HostInfo
from phasenb.core.silence import OwnLease, Watch
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.errors import StoreUnavailable
from phasenb.testing import FakeClock, FakeStore, RecordingPublisher, ScriptedExecutor
from tests.core.hearts import LoopHeart
from tests.core.test_asked_and_gone import held_appends

PHASES = ("research", "planning", "implementation")
LEASE_S = 8.0
OUT = StoreUnavailable("fake", "disk I/O error")
WRITES = ("append", "join", "beat", "leave", "adopt", "add_log", "add_checkpoint", "collect")
READS = ("hosts", "changes", "quiet_until", "find", "events", "launch", "checkpoint")


@pytest.fixture(autouse=True)
def no_threads(monkeypatch):
    """The clock is the test's, so nothing may happen beside it."""

    async def at_once(work, *args):
        return work(*args)

    monkeypatch.setattr(asyncio, "to_thread", at_once)


class Connection:
    """One host's way to a store that it shares; ``out``: what it can't do now."""

    def __init__(self, store):
        self._store, self.out = store, ()

    def __getattr__(self, name):
        if name in self.out:
            raise OUT
        return getattr(self._store, name)


class Town:
    """Hosts of one store on one clock."""

    def __init__(self):
        self.clock, self.store, self.keepers = FakeClock(), FakeStore(), []

    async def host(self, name):
        connection, executor = Connection(self.store), ScriptedExecutor()
        manager = PhaseManager(connection, {"process": executor}, RecordingPublisher(), self.clock, host=name)
        info = HostInfo(name, "machine", 1, "then")
        heart = LoopHeart(connection, self.clock, LEASE_S)
        keeper = Keeper(manager, connection, self.clock, info, lambda host: None, heart, lease_s=LEASE_S)
        executor.hold("research")
        await keeper.start()
        self.keepers.append(keeper)
        return manager, connection, executor

    async def launch(self, manager):
        launch = Launch(code="eA==", options=LaunchOptions(phases=PHASES))
        task_id = (await manager.launch("ada", "nb", launch)).task.task_id
        await self.settle()
        return task_id

    async def settle(self):
        for _ in range(100):
            await asyncio.sleep(0)

    async def pass_by(self, seconds):
        """Yields after each little step of time."""
        for _ in range(int(seconds / 0.25)):
            self.clock.advance(0.25)
            await self.settle()
            yield

    async def live_through(self, seconds):
        async for _ in self.pass_by(seconds):
            pass

    async def end(self, *managers):
        for keeper in self.keepers:
            await keeper.stop_looking()
        for manager in managers:
            await manager.stop()


@pytest.mark.parametrize("out", [WRITES, (*WRITES, *READS)])
def test_a_host_that_cannot_show_that_it_lives_stops_before_another_takes_over(run, out):
    async def scenario():
        town = Town()
        one, connection, _ = await town.host("one")
        two, _, executor = await town.host("two")
        task_id = await town.launch(one)
        await town.live_through(LEASE_S)
        name, connection.out = one.host, out
        async for _ in town.pass_by(3 * LEASE_S):
            assert not (one.running and executor.attempts)
        assert [(attempt.phase, attempt.attempt) for attempt in executor.attempts] == [("research", 2)]
        connection.out = ()
        await town.live_through(LEASE_S)
        assert one.host != name
        assert {host.host for host in await town.store.hosts()} == {one.host, two.host}
        executor.let_go("research")
        await town.settle()
        assert (await town.store.find(task_id)).task.state == "completed"
        await town.end(one, two)

    run(scenario())


def test_a_host_that_is_alone_with_its_trouble_goes_on(run):
    async def scenario():
        town = Town()
        one, connection, executor = await town.host("one")
        await town.store.join(HostInfo("died long ago", "elsewhere", 1, "then"))
        task_id = await town.launch(one)
        name, connection.out = one.host, WRITES
        await town.live_through(3 * LEASE_S)
        executor.let_go("research")
        await town.settle()
        connection.out = ()
        await town.live_through(LEASE_S)
        assert (await town.store.find(task_id)).task.state == "completed"
        assert ([attempt.attempt for attempt in executor.attempts], one.host) == ([1, 1, 1], name)
        await town.end(one)

    run(scenario())


def test_a_store_that_is_out_of_order_for_all_ends_no_host(run):
    async def scenario():
        town = Town()
        one, first, executor = await town.host("one")
        two, second, _ = await town.host("two")
        task_id = await town.launch(one)
        await town.live_through(LEASE_S)
        first.out = second.out = WRITES
        await town.live_through(3 * LEASE_S)
        second.out = ()  # a moment before the other one
        await town.live_through(LEASE_S / 4)
        first.out = ()
        await town.live_through(3 * LEASE_S)
        assert (one.running, two.running) == (1, 0)
        executor.let_go("research")
        await town.settle()
        assert (await town.store.find(task_id)).task.state == "completed"
        assert [attempt.attempt for attempt in executor.attempts] == [1, 1, 1]
        await town.end(one, two)

    run(scenario())


def test_a_host_that_stopped_takes_its_tasks_up_again_where_nobody_else_did(run):
    async def scenario():
        town = Town()
        one, connection, executor = await town.host("one")
        task_id = await town.launch(one)
        connection.out = (*WRITES, *READS)
        await town.live_through(LEASE_S)
        assert one.running == 0
        connection.out = ()
        await town.live_through(LEASE_S)
        assert [attempt.attempt for attempt in executor.attempts] == [1, 2]
        executor.let_go("research")
        await town.settle()
        assert (await town.store.find(task_id)).task.state == "completed"
        await town.end(one)

    run(scenario())


def test_a_host_gives_its_tasks_away_when_what_it_ran_has_ended_and_not_before(run):
    async def scenario():
        town = Town()
        one, connection, executor = await town.host("one")
        await town.launch(one)
        (live,) = one._live.values()
        stop, ended = live.run.stop, asyncio.Event()

        async def slowly(grace_s):  # as a thread that nobody can kill
            await ended.wait()
            await stop(grace_s)

        live.run.stop = slowly
        connection.out = (*WRITES, *READS)
        await town.live_through(LEASE_S)
        connection.out = ()
        await town.live_through(LEASE_S / 2)
        assert [attempt.attempt for attempt in executor.attempts] == [1]
        ended.set()
        while len(executor.attempts) == 1:  # as often as the thread that looks for dead hosts needs
            await town.live_through(LEASE_S / 4)
        assert [attempt.attempt for attempt in executor.attempts] == [1, 2]
        await town.end(one)

    run(scenario())


def test_what_a_silent_host_takes_before_it_has_its_new_name_is_not_run_under_the_old_one(run):
    async def scenario():
        town = Town()
        one, connection, executor = await town.host("one")
        other, *_ = await town.host("other")  # which counts on
        connection.out = WRITES
        while not one.silent:
            await town.live_through(0.25)
        connection.out = ()
        old = one.host
        await town.launch(one)
        assert (one.host, one.running, executor.attempts) == (old, 0, [])
        while not executor.attempts and not other.running:
            await town.live_through(0.25)
        assert one.host != old
        await town.live_through(LEASE_S)
        assert one.running + other.running == 1
        await town.end(one, other)

    run(scenario())


@pytest.mark.parametrize("again", [False, True])
def test_what_was_taken_under_a_name_that_is_given_up_is_not_run_under_it(run, again):
    async def scenario():
        town = Town()
        one, connection, executor = await town.host("one")
        (keeper,) = town.keepers
        if again:
            task_id = await town.launch(one)
            await one.cancel("ada", task_id, "ada")
            await town.settle()
        begun, go = held_appends(connection)
        asked = asyncio.create_task(one.retry("ada", task_id, "ada") if again else town.launch(one))
        await begun.wait()
        leave, left = town.store.leave, []

        async def answered_first(host):
            go.set()
            await asked  # it was written under the old name, which is given up only now
            left.append((host, one.running, one.host != host))
            await leave(host)

        town.store.leave = answered_first
        old = one.host
        await keeper._renew(old)
        assert left == [(old, 0, True)]
        ran = len(executor.attempts)
        while len(executor.attempts) == ran:  # nobody's now, so it is taken up under the new name
            await town.live_through(LEASE_S / 4)
        assert (one.running, len(executor.attempts)) == (1, ran + 1)
        await town.end(one)

    run(scenario())


def test_a_host_knows_that_it_can_not_write_until_it_can_again(run):
    async def scenario():
        town = Town()
        one, connection, _ = await town.host("one")
        assert one.trouble is None
        connection.out = WRITES
        await town.live_through(LEASE_S / 2)
        assert one.trouble is OUT
        connection.out = ()
        await town.live_through(LEASE_S / 2)
        assert one.trouble is None
        await town.end(one)

    run(scenario())


def test_trouble_of_the_store_is_told_once_for_an_outage(run, caplog):
    async def scenario():
        town = Town()
        one, connection, _ = await town.host("one")
        for _ in range(2):
            connection.out = (*WRITES, *READS)
            await town.live_through(2 * LEASE_S)
            connection.out = ()
            await town.live_through(LEASE_S)
        await town.end(one)

    with caplog.at_level(logging.WARNING, "phasenb.core.keeper"):
        run(scenario())
    told = [record.message for record in caplog.records if "disk I/O error" in record.message]
    assert len(told) == 2 * 3  # by the loops that beat, adopt and follow


def test_a_lease_is_lost_where_others_count_on_and_this_host_cannot():
    lease, still, moved = OwnLease(8.0, 0.0, 0.0), [counted(5)], [counted(6)]
    assert not lease.late(2.9)
    assert lease.late(3.0)
    assert not lease.lost(3.0, 3.0, still)
    assert not lease.lost(3.9, 3.9, moved)
    assert not lease.lost(4.0, 4.0, still)
    assert lease.lost(4.0, 4.0, moved)
    assert lease.lost(4.0, 4.0, [HostInfo("new", "m", 1, "")])
    assert lease.lost(4.0, 4.0, None)
    assert not lease.lost(3.9, 3.9, None)


def test_a_lease_is_not_lost_while_nobody_can_write_and_for_half_a_lease_after():
    lease, still, moved = OwnLease(8.0, 0.0, 0.0), [counted(5)], [counted(6)]
    for now in (3.0, 6.9):  # the others may have had no break yet
        assert not lease.lost(now, now, still)
    assert lease.lost(6.9, 6.9, moved)
    assert not lease.lost(20.0, 20.0, still)
    assert not lease.lost(23.9, 23.9, moved)
    assert not lease.lost(23.9, 23.9, None)
    assert lease.lost(24.0, 24.0, moved)
    assert lease.lost(24.0, 24.0, None)


def test_a_host_is_steady_since_its_newest_break_was_over():
    lease = OwnLease(8.0, 0.0, 0.0)
    lease.beat(3.9, 3.9)
    assert lease.steady_since(4.0) == 0.0
    assert lease.steady_since(7.9) == 7.9
    lease.beat(6.0, 8.0)  # it hung
    lease.beat(9.0, 9.0)
    assert lease.steady_since(9.0) == 8.0


def counted(counter):
    return HostInfo("other", "m", 1, "", counter)


def test_a_silence_counts_from_when_this_host_could_write_itself():
    watch, other = Watch(8.0), HostInfo("b", "m", 1, "")
    assert watch.dead([other], 0.0, lambda host: None, 0.0) == []
    assert watch.dead([other], 10.0, lambda host: None, 10.0) == []
    assert watch.dead([other], 17.9, lambda host: None, 10.0) == []
    assert watch.dead([other], 18.0, lambda host: None, 10.0) == [other]
    assert watch.dead([other], 18.0, lambda host: False, 18.0) == [other]
