"""The thread that shows that a host lives: what fails in it ends neither it nor the heartbeats that are waited for."""

import asyncio
import logging
import threading

import pytest

from phasenb.core.ports import HostInfo
from phasenb.core.silence import froze
from phasenb.errors import LeaseLost
from phasenb.store.heartbeat import Heartbeat
from phasenb.store.saver import MemorySaver

LEASE_S = 1.6


class Broken:
    """Heartbeats of a real store, which fail in ways that nobody foresaw until they are mended."""

    def __init__(self, store):
        self._store, self.mended = store, False

    def beat(self, host):
        if not self.mended:
            raise ValueError("nobody foresaw this")
        self._store.beat(host)

    def others(self, host):
        return self._store.others(host)

    def close(self):
        self._store.close()


async def opened(folder):
    store = MemorySaver.open(str(folder / "store.db"))
    await store.join(HostInfo("one", "here", 1, "now"))
    return store


async def counted(store):
    (host,) = await store.hosts()
    return host.counter


def test_what_fails_in_a_turn_is_told_and_the_next_heartbeats_go_on(tmp_path, caplog):
    async def scenario():
        store = await opened(tmp_path)
        fed = threading.Event()
        broken = Broken(store.heartbeats(LEASE_S / 8))
        heartbeat = Heartbeat(broken, lambda now: fed.set(), lease_s=LEASE_S)
        heartbeat.start()
        for _ in range(3):
            with pytest.raises(ValueError, match="nobody foresaw"):
                await heartbeat.beat("one")
        broken.mended = True
        await heartbeat.beat("one")
        assert await counted(store) >= 1
        fed.clear()
        assert await asyncio.to_thread(fed.wait, 10), "its guardians hear of it"
        with pytest.raises(LeaseLost):
            await heartbeat.beat("nobody knows it")
        await heartbeat.stop()
        await store.close()

    with caplog.at_level(logging.DEBUG, "phasenb.store.heartbeat"):
        asyncio.run(asyncio.wait_for(scenario(), 30))
    (told,) = caplog.records
    assert (told.levelname, told.exc_info[0]) == ("ERROR", ValueError), "once for as long as it lasts"


def test_feeding_that_fails_ends_no_heartbeat(tmp_path, caplog):
    async def scenario():
        store = await opened(tmp_path)
        heartbeat = Heartbeat(store.heartbeats(LEASE_S / 8), lambda now: 1 / 0, lease_s=LEASE_S)
        heartbeat.start()
        for _ in range(3):
            await heartbeat.beat("one")
        assert await counted(store) >= 3
        await heartbeat.stop()
        await store.close()

    asyncio.run(asyncio.wait_for(scenario(), 30))
    assert {record.exc_info[0] for record in caplog.records} == {ZeroDivisionError}


def test_the_thread_ends_with_its_loop_and_says_nothing(tmp_path, caplog):
    async def scenario():
        heartbeat = Heartbeat(None, lambda now: None, lease_s=LEASE_S)
        before = set(threading.enumerate())
        heartbeat.start()
        await heartbeat.beat("one")
        (thread,) = set(threading.enumerate()) - before
        return thread

    thread = asyncio.run(scenario())
    thread.join(30)
    assert not thread.is_alive()
    assert caplog.records == []


@pytest.mark.parametrize(
    ("gap_s", "busy_s", "frozen"),
    [
        (0.5, 0.0, False),  # a turn that is a little late
        (6.0, 0.0, True),
        (600.0, 0.01, True),
        (600.0, 599.0, False),  # one long call of C held its interpreter
    ],
)
def test_a_process_was_frozen_where_its_thread_had_no_turn_and_it_did_nothing(gap_s, busy_s, frozen):
    assert froze(gap_s, busy_s, 15.0) is frozen
