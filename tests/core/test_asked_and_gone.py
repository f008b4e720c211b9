"""People who ask twice, or are gone before the answer: what is stored is heeded, and a launch asked again is known."""

import asyncio
import contextlib

import pytest

from phasenb.core.attempts import EngineLimits
from phasenb.core.keeper import Keeper
from phasenb.core.phase_manager import PhaseManager
from phasenb.core.ports import HostInfo
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.dto.policies import RecoveryPolicy
from phasenb.errors import LaunchesPaused, QueueFull, StoreUnavailable
from phasenb.testing import FakeClock, FakeStore, RecordingPublisher, ScriptedExecutor, failed
from tests.core.hearts import LoopHeart

PHASES = ("research", "planning", "implementation")
OUT = StoreUnavailable("fake", "the disk is full")


def held_appends(store):
    """(begun, go): an event that is set when the next append was written and not yet answered, and one to answer it."""
    begun, go, append = asyncio.Event(), asyncio.Event(), store.append

    async def held(what):
        store.append = append
        appended = await append(what)
        begun.set()
        await go.wait()
        return appended

    store.append = held
    return begun, go


def test_a_command_whose_asker_is_gone_is_heeded_all_the_same(make_house, run):
    async def scenario():
        house = make_house()
        task_id = await house.launch(approve_before=("planning",))
        gate = (await house.until(task_id, "awaiting_approval")).approval
        begun, go = held_appends(house.store)
        asking = asyncio.create_task(house.manager.approve("ada", task_id, "ada", "planning", gate.seq))
        await begun.wait()
        asking.cancel()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (await house.finish(task_id)).state == "completed"

    run(scenario())


def test_a_decision_that_landed_counts_though_a_persons_failed_after_it(make_house, run):
    async def scenario():
        house = make_house()
        house.executor.hold("research")
        task_id = await house.launch()
        await house.executor.started.get()
        append = house.store.append

        async def lands_and_fails(what):
            house.store.append = append
            await append(what)
            house.store.refuse = [OUT]
            raise OUT

        house.store.append = lands_and_fails
        house.executor.let_go("research")
        while not house.store.refuse:
            await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable):
            await house.manager.cancel("ada", task_id, "ada")
        while not house.clock.sleeping:
            await asyncio.sleep(0)
        house.clock.advance(1)
        assert (await house.finish(task_id)).state == "completed"
        assert (await house.types(task_id)).count("phase_complete") == 3

    run(scenario())


@pytest.mark.parametrize("again", [{"idempotency_key": "once"}, {"options": LaunchOptions(phases=PHASES, key="k")}])
def test_a_launch_that_is_known_is_answered_although_nothing_new_may_be_launched(run, again):
    launch = Launch(code="eA==", **{"options": LaunchOptions(phases=PHASES), **again})
    other = Launch(code="eA==", options=LaunchOptions(phases=PHASES))

    async def full():
        executor = ScriptedExecutor(capacity=1)
        executor.hold("research")
        limits = EngineLimits(queued_tasks=1)
        manager = PhaseManager(FakeStore(), {"process": executor}, RecordingPublisher(), FakeClock(), limits=limits)
        known = await manager.launch("ada", "nb", launch)
        while not executor.attempts:
            await asyncio.sleep(0)
        await manager.launch("ada", "nb", other)
        while not manager.queued:
            await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await manager.launch("ada", "nb", other)
        return known, await manager.launch("ada", "nb", launch)

    async def paused():
        policy = {
            "defaults": {"retry": {"maximum_attempts": 1}},
            "thresholds": [{"errors": 1, "window": 60, "action": "pause_launches"}],
        }
        executor = ScriptedExecutor({"research": [[failed("ValueError")]]})
        manager = PhaseManager(
            FakeStore(), {"process": executor}, RecordingPublisher(), FakeClock(),
            policy=RecoveryPolicy.model_validate(policy),
        )  # fmt: skip
        known = await manager.launch("ada", "nb", launch)
        await manager.ended(known.task.task_id)
        with pytest.raises(LaunchesPaused):
            await manager.launch("ada", "nb", other)
        return known, await manager.launch("ada", "nb", launch)

    for scenario in (full, paused):
        known, asked_again = run(scenario())
        assert (asked_again.task.task_id, asked_again.duplicate) == (known.task.task_id, True)


def test_tasks_that_were_taken_over_are_carried_though_the_log_could_not_be_followed(run):
    class Store(FakeStore):
        async def adopt(self, *asked):
            found = await super().adopt(*asked)
            self.broken = bool(found)
            return found

        async def changes(self, *asked):
            if getattr(self, "broken", False):
                self.broken = False
                raise StoreUnavailable("fake", "disk I/O error")
            return await super().changes(*asked)

    async def scenario():
        store, clock, executor = Store(), FakeClock(), ScriptedExecutor()
        await store.join(HostInfo("dead", "here", 1, "then"))
        before = PhaseManager(store, {"process": executor}, RecordingPublisher(), clock, host="dead")
        executor.hold("research")
        launched = await before.launch("ada", "nb", Launch(code="eA==", options=LaunchOptions(phases=PHASES)))
        executor.let_go("research")
        await before.stop()
        manager = PhaseManager(store, {"process": executor}, RecordingPublisher(), clock, host="new")
        heart, info = LoopHeart(store, clock, 10), HostInfo("new", "here", 2, "now")
        keeper = Keeper(manager, store, clock, info, lambda host: False, heart, lease_s=10)
        with contextlib.suppress(StoreUnavailable):  # what it took over must be carried all the same
            await keeper.start()
        await manager.ended(launched.task.task_id)
        assert (await store.find(launched.task.task_id)).task.state == "completed"
        await keeper.stop_looking()

    run(scenario())


def test_a_task_that_only_waits_is_taken_up_as_often_as_hosts_come_and_go(make_house, run):
    async def scenario():
        house = make_house(policy={"maximum_recoveries": 1})
        task_id = await house.launch(approve_before=("research",))
        await house.until(task_id, "awaiting_approval")
        await house.manager.stop()
        for number in range(5):
            manager = PhaseManager(
                house.store, {"process": house.executor}, house.publisher, house.clock, host=f"host-{number}",
                policy=RecoveryPolicy.model_validate({"maximum_recoveries": 1}),
            )  # fmt: skip
            info = HostInfo(f"host-{number}", "here", number + 2, "now")
            heart = LoopHeart(house.store, house.clock, 10)
            keeper = Keeper(manager, house.store, house.clock, info, lambda host: False, heart, lease_s=10)
            await keeper.start()
            assert (await manager.snapshot("ada", task_id)).state == "awaiting_approval"
            await keeper.stop_looking()
            await manager.stop()
            await keeper.leave()

    run(scenario())


def test_the_queue_of_one_owner_is_not_anothers(run):
    async def scenario():
        executor = ScriptedExecutor(capacity=1)
        executor.hold("research")
        manager = PhaseManager(
            FakeStore(), {"process": executor}, RecordingPublisher(), FakeClock(), limits=EngineLimits(queued_tasks=1)
        )
        launch = Launch(code="eA==", options=LaunchOptions(phases=PHASES))
        await manager.launch("ada", "nb", launch)
        while not executor.attempts:
            await asyncio.sleep(0)
        await manager.launch("ada", "nb", launch)
        while not manager.queued:
            await asyncio.sleep(0)
        for session in ("nb", "other"):
            with pytest.raises(QueueFull):
                await manager.launch("ada", session, launch)
        assert not (await manager.launch("bob", "nb", launch)).duplicate

    run(scenario())
