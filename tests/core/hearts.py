"""The heart of a host over fakes: the decisions of the heartbeat's thread, without the thread, on the test's clock."""

import asyncio

from phasenb.errors import StoreUnavailable
from phasenb.store.heartbeat import Heartbeat


class LoopHeart(Heartbeat):
    """Has a turn whenever it is asked for something."""

    def __init__(self, store, clock, lease_s):
        super().__init__(Shared(store), lambda now: None, lease_s=lease_s, monotonic=clock.monotonic)

    async def beat(self, host):
        asked = asyncio.ensure_future(super().beat(host))
        await asyncio.sleep(0)
        self.turn(self._monotonic())
        await asked

    def lost(self, host):
        self.turn(self._monotonic())
        return super().lost(host)


class Shared:
    """A fake store as a thread would have it, which never waits."""

    def __init__(self, store):
        self._store = store

    def beat(self, host):
        at_once(self._store.beat(host))

    def others(self, host):
        try:
            return [each for each in at_once(self._store.hosts()) if each.host != host]
        except StoreUnavailable:
            return None


def at_once(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("a fake store waited")
