"""What a host makes of the commits it sees: other hosts' are told, its own are not even read."""

import asyncio
import logging
from dataclasses import replace

from phasenb.core.keeper import Keeper
from phasenb.core.phase_manager import PhaseManager
from phasenb.core.ports import HostInfo
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.testing import FakeClock, FakeStore, RecordingPublisher, ScriptedExecutor
from tests.core.hearts import LoopHeart

PHASES = ("research", "planning", "implementation")


class Unreadable(FakeStore):
    """A store whose changes can't be read: whoever reads one says so in the log."""

    looked = 0

    async def changes(self, after, limit=1000):
        self.looked += 1
        return [replace(change, event="not JSON") for change in await super().changes(after, limit)]


def test_a_hosts_own_commits_are_not_read_again(caplog):
    async def scenario():
        store, clock = Unreadable(), FakeClock()
        manager = PhaseManager(store, {"process": ScriptedExecutor()}, RecordingPublisher(), clock)
        heart, info = LoopHeart(store, clock, 10), HostInfo("one", "here", 1, "now")
        keeper = Keeper(manager, store, clock, info, lambda host: True, heart, lease_s=10)
        await keeper.start()
        launch = Launch(code="eA==", options=LaunchOptions(phases=PHASES))
        task = (await manager.launch("ada", "nb", launch)).task
        await asyncio.wait_for(manager.ended(task.task_id), 5)
        looked = store.looked
        while store.looked == looked:
            if clock.sleeping:
                clock.advance(clock.sleeping[0])
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        await keeper.stop_looking()
        assert (await store.find(task.task_id)).task.state == "completed"

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert caplog.records == []
