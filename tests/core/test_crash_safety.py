"""What a host must not lose when its store, its lease or another host fails at a bad moment: over fakes."""

import asyncio
import threading

import pytest

from phasenb.core.keeper import Keeper
from phasenb.core.phase_manager import PhaseManager
from phasenb.core.ports import Append, HostInfo
from phasenb.dto.agent_spec import FunctionSpec
from phasenb.dto.events import parse_event
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.dto.phase import Checkpoint
from phasenb.dto.policies import RecoveryPolicy
from phasenb.errors import Conflict, IllegalTransition, LaunchError, LeaseLost, StoreUnavailable, WorkerLost
from phasenb.testing import FakeClock, FakeStore, RecordingPublisher, ScriptedExecutor, failed, finished

PHASES = ("research", "planning", "implementation")
ONCE = {"retry": {"maximum_attempts": 1}}
ROLLBACK = {"defaults": ONCE, "phases": {"implementation": {"rollback": {"to": "planning"}}}}
OUT = StoreUnavailable("fake", "the disk is full")
KINDS = ("process",)


class House:
    """A PhaseManager over fakes; ``like``: another one, whose store, clock and executor it shares."""

    def __init__(self, script=None, *, policy=None, undo=(), host="one", like=None, store=None):
        self.clock = like.clock if like else FakeClock()
        self.store = like.store if like else store or FakeStore()
        self.executor = like.executor if like else ScriptedExecutor(script)
        self.publisher = RecordingPublisher()
        functions = {name: FunctionSpec(name=name, open=True) for name in PHASES}
        if like is None:
            self.executor.spec = self.executor.spec.changed(compensations={name: functions[name] for name in undo})
        self.policy = (
            policy if policy is not None else (like.policy if like else {"defaults": {"retry": {"jitter": 0}}})
        )
        self.manager = PhaseManager(
            self.store,
            {"process": self.executor},
            self.publisher,
            self.clock,
            policy=RecoveryPolicy.model_validate(self.policy),
            roll=lambda: 0.5,
            host=host,
        )

    async def launch(self, **options):
        options.setdefault("phases", PHASES)
        launch = Launch(code="eA==", options=LaunchOptions(**options))
        return (await self.manager.launch("ada", "nb", launch)).task.task_id

    async def until(self, task_id, state):
        while (task := await self.manager.snapshot("ada", task_id)).state != state:
            await asyncio.sleep(0)
        return task

    async def settle(self):
        for _ in range(100):
            await asyncio.sleep(0)

    async def finish(self, task_id):
        """The stored task once this host has let go of it, on a clock that moves as it has to."""
        while self.manager.newest_update(task_id) is not None or task_id in self.manager._live:
            await self.settle()
            if self.clock.sleeping:
                self.clock.advance(self.clock.sleeping[0])
        return (await self.store.find(task_id)).task

    async def events(self, task_id):
        return [parse_event(text) for text in await self.store.events(task_id, 0, 1000)]

    async def types(self, task_id):
        return [event.type for event in await self.events(task_id)]

    def ran(self):
        return [(attempt.phase, attempt.kind) for attempt in self.executor.attempts]

    def told(self, task_id):
        return [event.seq for event in self.publisher.told if getattr(event, "seq", 0) and event.task_id == task_id]

    async def dies(self):
        """As after SIGKILL: what it carried stays as it is, and another host may take it up."""
        await self.manager.stop()
        await self.store.leave(self.manager.host)

    async def adopt(self):
        for adopted in await self.store.adopt(self.manager.host, KINDS):
            await self.manager.adopt(adopted)


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario, 20))


# --- commands ------------------------------------------------------------------------------------------------------


def test_a_retry_of_a_task_that_has_not_ended_is_refused_at_once():
    async def scenario():
        house = House()
        house.executor.hold("planning")
        task_id = await house.launch()
        await house.until(task_id, "running")
        with pytest.raises(IllegalTransition, match="it has not ended"):
            await asyncio.wait_for(house.manager.retry("ada", task_id, "ada"), 5)
        house.executor.let_go("planning")
        assert (await house.finish(task_id)).state == "completed"

    run(scenario())


def test_a_command_is_refused_only_after_a_look_at_what_another_host_appended():
    async def scenario():
        one = House()
        one.executor.hold("research")
        task_id = await one.launch()
        await one.until(task_id, "running")
        two = House(like=one, host="two")
        await two.manager.pause("ada", task_id, "bob")
        # What this host knows of it says that it runs.
        assert (await one.manager.resume("ada", task_id, "ada")).state == "running"
        await two.manager.pause("ada", task_id, "bob")
        await two.manager.resume("ada", task_id, "bob")
        assert (await one.manager.pause("ada", task_id, "ada")).state == "paused", "it was no more as this host knew it"
        await two.manager.cancel("ada", task_id, "bob")
        with pytest.raises(IllegalTransition):
            await one.manager.pause("ada", task_id, "ada")
        assert (await one.finish(task_id)).state == "cancelled"

    run(scenario())


def test_a_command_for_a_task_that_was_lost_to_another_host_reaches_it_there():
    async def scenario():
        one = House()
        one.executor.hold("research")
        task_id = await one.launch()
        await one.until(task_id, "running")
        two = House(like=one, host="two")
        await one.store.adopt("two", KINDS, dead="one")
        assert (await one.manager.cancel("ada", task_id, "ada")).state == "cancelling"
        assert one.manager.running == 0
        await two.manager.follow("ada", task_id, await two.events(task_id))
        assert (await two.store.find(task_id)).task.state == "cancelling"

    run(scenario())


def test_a_launch_that_nobody_waits_for_any_more_is_carried_all_the_same():
    async def scenario():
        house = House(store=SlowStore())
        launching = asyncio.create_task(house.launch())
        await house.settle()
        launching.cancel()
        house.store.go_on.set()
        await house.settle()
        (task,) = await house.store.tasks("ada")
        assert task.state == "completed"

    run(scenario())


class SlowStore(FakeStore):
    """Answers its first append once it may."""

    def __init__(self):
        super().__init__()
        self.go_on = asyncio.Event()

    async def append(self, append: Append):
        appended = await super().append(append)
        await self.go_on.wait()
        return appended


@pytest.mark.parametrize("again", [False, True], ids=["launch", "retry"])
def test_a_task_is_carried_although_telling_of_it_fails(again):
    async def scenario():
        house = House({"planning": [[failed()], [finished()]]} if again else None, policy={"defaults": ONCE})
        task_id = await house.launch() if again else None
        if again:
            await house.finish(task_id)
        tell = house.publisher.events

        def broken(owner, task, events):
            house.publisher.events = tell
            raise RuntimeError("a listener's mistake")

        house.publisher.events = broken
        with pytest.raises(RuntimeError):
            await (house.manager.retry("ada", task_id, "ada") if again else house.launch())
        (task,) = await house.store.tasks("ada")
        assert (await house.finish(task.task_id)).state == "completed"

    run(scenario())


# --- rollback ------------------------------------------------------------------------------------------------------


def test_a_rollback_goes_on_after_a_crash_with_what_it_has_still_to_undo():
    async def scenario():
        script = {"implementation": [[failed("OSError")], [finished("done")]]}
        one = House(script, policy=ROLLBACK, undo=PHASES)
        one.executor.hold("undo planning")
        task_id = await one.launch()
        while ("planning", "compensation") not in one.ran():
            await asyncio.sleep(0)
        await one.dies()
        one.executor.let_go("undo planning")
        two = House(like=one, host="two")
        await two.adopt()
        assert (await two.finish(task_id)).state == "completed"
        undone = [attempt.phase for attempt in one.executor.attempts if attempt.kind == "compensation"]
        assert undone == ["implementation", "planning", "planning"]
        (closed,) = (event for event in await two.events(task_id) if event.type == "phase_rolled_back")
        assert closed.compensated == ("implementation", "planning")
        results = [result for _, result in await two.store.results("ada") if result.kind == "compensation"]
        assert [(result.phase, result.status) for result in results] == [
            ("implementation", "complete"),
            ("planning", "lost"),
            ("planning", "complete"),
        ]

    run(scenario())


def test_a_task_that_ends_in_the_middle_of_a_rollback_says_what_stays_as_it_is():
    async def scenario():
        house = House({"implementation": [[failed("OSError")]]}, policy=ROLLBACK, undo=("planning", "implementation"))
        house.executor.hold("undo planning")
        task_id = await house.launch(timeouts={"task": 60})
        while house.executor.attempts[-1:] == [] or house.executor.attempts[-1].kind != "compensation":
            await asyncio.sleep(0)
        await house.settle()
        house.clock.advance(60)
        task = await house.finish(task_id)
        assert task.state == "failed"
        assert "(timeouts.task)\nNot undone: planning" in task.error.error.message

    run(scenario())


def test_nothing_is_rolled_back_where_nobody_can_say_what_there_is_to_undo():
    async def scenario():
        house = House({"implementation": [[failed("OSError", "disk")]]}, policy=ROLLBACK, undo=("planning",))

        async def describe(*args, **options):
            raise LaunchError("no such module")

        house.executor.describe = describe
        task_id = await house.launch()
        task = await house.finish(task_id)
        assert (task.state, task.phase_named("planning").status) == ("failed", "complete")
        assert "disk\nNot rolled back" in task.error.error.message
        assert "no such module" in task.error.error.message

    run(scenario())


def test_a_worker_that_dies_of_a_question_is_asked_for_again_before_a_rollback():
    async def scenario():
        house = House({"implementation": [[failed("OSError")], [finished()]]}, policy=ROLLBACK, undo=("planning",))
        describe, deaths = house.executor.describe, [WorkerLost("process-1", "was killed")] * 2

        async def dying(*args, **options):
            if deaths:
                raise deaths.pop()
            return await describe(*args, **options)

        house.executor.describe = dying
        task_id = await house.launch()
        assert (await house.finish(task_id)).state == "completed"
        assert [a.phase for a in house.executor.attempts if a.kind == "compensation"] == ["planning"]

    run(scenario())


# --- results -------------------------------------------------------------------------------------------------------


def test_a_result_that_was_quicker_than_the_tasks_end_counts():
    async def scenario():
        house = House()
        house.executor.hold("research")
        task_id = await house.launch(timeouts={"task": 60})
        await house.until(task_id, "running")
        await house.settle()
        house.clock.advance(59.5)
        house.store.refuse = [OUT]
        house.executor.let_go("research")
        await house.settle()
        house.clock.advance(0.5)  # the task's time is over while its first result waits for the store
        await house.settle()
        task = await house.finish(task_id)
        assert (task.state, task.phase_named("research").status) == ("failed", "complete")
        ((_, result),) = await house.store.results("ada")
        assert (result.phase, result.status, result.output) == ("research", "complete", "research")

    run(scenario())


def test_an_end_from_outside_leaves_a_result_of_the_attempt_that_ran():
    async def scenario():
        house = House()
        house.executor.hold("research")
        task_id = await house.launch()
        await house.until(task_id, "running")
        live = house.manager._live[task_id]
        await house.manager._carrier.commit(live, lambda decision: decision.abort(failed("Broken").error))
        ((_, result),) = await house.store.results("ada")
        assert (result.phase, result.attempt, result.status, result.error.type) == ("research", 1, "failed", "Broken")
        house.executor.let_go("research")

    run(scenario())


class Forgetful(FakeStore):
    """Commits the appends of these event types once, and says that it could not."""

    def __init__(self, *types):
        super().__init__()
        self.types = set(types)

    async def append(self, append: Append):
        appended = await super().append(append)
        hit = {event.type for event in append.events} & self.types
        self.types -= hit
        if hit and append.events[0].seq > 1:
            raise OUT
        return appended


def test_a_commit_that_landed_although_the_store_said_no_counts_once():
    async def scenario():
        house = House(store=Forgetful("phase_started", "phase_complete", "task_complete"))
        task_id = await house.launch()
        task = await house.finish(task_id)
        assert task.state == "completed"
        assert (await house.types(task_id)) == [
            "task_created",
            *["phase_started", "phase_complete"] * 3,
            "task_complete",
        ]
        assert house.told(task_id) == list(range(1, task.seq + 1))
        assert [(a.phase, a.attempt) for a in house.executor.attempts] == [(phase, 1) for phase in PHASES]

    run(scenario())


# --- a store that can't be read ------------------------------------------------------------------------------------


class Unreadable(FakeStore):
    """Fails the next reads of some kinds: ``fail`` maps a method's name to how many times."""

    def __init__(self, **fail):
        super().__init__()
        self.fail = fail

    def _maybe(self, name):
        if self.fail.get(name, 0):
            self.fail[name] -= 1
            raise OUT

    async def checkpoint(self, task_id, phase, *, since=1):
        self._maybe("checkpoint")
        return await super().checkpoint(task_id, phase, since=since)

    async def failures(self, owner, session, since, limit):
        self._maybe("failures")
        return await super().failures(owner, session, since, limit)

    async def events(self, task_id, after_seq, limit):
        self._maybe("events")
        return await super().events(task_id, after_seq, limit)


def test_a_task_waits_for_a_store_that_cannot_be_read():
    async def scenario():
        policy = {"defaults": {"retry": {"jitter": 0}}, "thresholds": [{"errors": 9, "window": 60, "action": "abort"}]}
        script = {"research": [[Checkpoint(value=7), failed()], [failed()], [finished()]]}
        one = House(script, store=Unreadable(), policy=policy)
        task_id = await one.launch()
        await one.until(task_id, "retrying")
        await one.dies()
        one.store.fail = {"checkpoint": 2, "failures": 2}
        two = House(like=one, host="two")
        await two.adopt()
        assert (await two.finish(task_id)).state == "completed"
        assert one.store.fail == {"checkpoint": 0, "failures": 0}
        assert [attempt.checkpoint.value for attempt in one.executor.attempts[1:3]] == [7, 7]

    run(scenario())


# --- adoption ------------------------------------------------------------------------------------------------------


def test_an_adoption_that_fails_is_tried_again_and_spoils_no_other():
    async def scenario():
        one = House(store=Unreadable())
        one.executor.hold("research")
        tasks = [await one.launch() for _ in range(3)]
        await one.settle()
        await one.dies()
        one.executor.let_go("research")
        one.store.fail["events"] = 1
        two = House(like=one, host="two")
        await two.adopt()
        assert two.manager.running == 2
        for task_id in tasks[1:]:
            assert (await two.finish(task_id)).state == "completed"
        while (await two.store.find(tasks[0])).task.state != "completed":
            await two.settle()
            two.clock.advance(1)

    run(scenario())


def test_a_task_that_cannot_be_adopted_at_all_ends_with_the_reason():
    async def scenario():
        one = House()
        one.executor.hold("research")
        lost = await one.launch()
        fine = await one.launch()
        await one.settle()
        await one.dies()
        one.executor.let_go("research")
        # The log of the first holds what no release can fold.
        log = one.store._kept[lost].events
        log[1] = parse_event(log[1].wire.replace("research", "unheard_of"))
        two = House(like=one, host="two")
        await two.adopt()
        task = (await two.store.find(lost)).task
        assert (task.state, task.error.error.type) == ("failed", "phasenb.IllegalTransition")
        assert (await two.finish(fine)).state == "completed"

    run(scenario())


@pytest.mark.parametrize("readable", [True, False])
def test_a_task_that_cannot_be_adopted_in_the_middle_of_a_rollback_says_what_ran_and_what_is_not_undone(readable):
    async def scenario():
        script = {"implementation": [[failed("OSError")]]}
        one = House(script, policy=ROLLBACK, undo=PHASES)
        one.manager.agents["other"] = "their.module:agent"
        one.executor.hold("undo planning")
        task_id = await one.launch(recovery={"phases": {"research": {"fallback": "other"}}})
        while ("planning", "compensation") not in one.ran():
            await one.settle()
        await one.dies()
        one.executor.let_go("undo planning")
        if not readable:
            log = one.store._kept[task_id].events
            log[1] = parse_event(log[1].wire.replace("research", "unheard_of"))
        two = House(like=one, host="two")  # which knows no such agent
        await two.adopt()
        task = (await two.store.find(task_id)).task
        assert task.state == "failed"
        assert ("Not undone: planning" in task.error.error.message) is readable
        _, result = (await two.store.results("ada"))[-1]
        assert (result.phase, result.kind, result.status) == ("planning", "compensation", "failed")

    run(scenario())


def test_the_last_words_of_a_dead_host_are_told_before_what_follows():
    async def scenario():
        one = House()
        one.executor.hold("planning")
        task_id = await one.launch()
        await one.until(task_id, "running")
        await one.settle()
        two = House(like=one, host="two")
        await two.manager.follow("ada", task_id, (await one.events(task_id))[:2])
        assert two.told(task_id) == [1, 2]
        await one.dies()
        one.executor.let_go("planning")
        await two.adopt()
        task = await two.finish(task_id)
        assert two.told(task_id) == list(range(1, task.seq + 1))

    run(scenario())


# --- leases --------------------------------------------------------------------------------------------------------


def keeper_of(house, alive=lambda host: None, lease_s=10.0):
    info = HostInfo(house.manager.host, "machine", 1, "now")
    return Keeper(house.manager, house.store, house.clock, info, alive, lease_s=lease_s)


def test_whether_another_host_lives_is_asked_off_the_loop():
    async def scenario():
        house, asked = House(), []
        await house.store.join(HostInfo("other", "machine", 2, "then"))
        keeper = keeper_of(house, alive=lambda host: asked.append((host.host, threading.current_thread())))
        await keeper.start()
        ((host, thread),) = asked
        assert host == "other"
        assert thread is not threading.current_thread()
        await keeper.stop_looking()
        await house.manager.stop()

    run(scenario())


def test_a_host_that_woke_up_after_its_lease_launches_under_a_new_name():
    async def scenario():
        house = House()
        keeper = keeper_of(house)
        await keeper.start()
        old = house.manager.host
        house.executor.hold("research")
        await house.launch()
        await house.store.adopt("other", KINDS, dead=old)
        task_id = await house.launch()  # before its next beat, which would have told it
        assert house.manager.host != old
        assert house.store._kept[task_id].lease.host == house.manager.host
        assert house.manager.running == 1, "it lets go of what is another host's now"
        assert [host.host for host in await house.store.hosts()] == [house.manager.host]
        await keeper.stop_looking()
        await house.manager.stop()

    run(scenario())


def test_a_slow_adoption_does_not_cost_the_adopter_its_own_lease():
    async def scenario():
        house = House(store=SlowAdoption())
        keeper = keeper_of(house)
        await keeper.start()
        house.store.slow = True
        for _ in range(8):
            house.clock.advance(2.5)
            await house.settle()
        (host,) = await house.store.hosts()
        assert host.counter >= 7
        await keeper.stop_looking()

    run(scenario())


class SlowAdoption(FakeStore):
    slow = False

    async def adopt(self, host, kinds, dead=None):
        if self.slow:
            await asyncio.Event().wait()
        return await super().adopt(host, kinds, dead)


def test_a_keeper_goes_on_when_its_store_fails_while_it_starts_again():
    async def scenario():
        house = House(store=NoJoin())
        keeper = keeper_of(house)
        await keeper.start()
        old = house.manager.host
        await house.store.leave(old)
        house.store.out = 2
        for _ in range(8):
            house.clock.advance(2.5)
            await house.settle()
        (host,) = await house.store.hosts()
        assert host.host == house.manager.host != old
        assert host.counter > 0
        await keeper.stop_looking()

    run(scenario())


class NoJoin(FakeStore):
    out = 0

    async def join(self, host):
        if self.out:
            self.out -= 1
            raise OUT
        await super().join(host)


def test_changes_that_could_not_be_handed_on_are_handed_on_later():
    async def scenario():
        one = House(store=ToldOnce())
        two = House(like=one, host="two")
        keeper = keeper_of(two)
        await keeper.start()
        task_id = await one.launch()
        task = await one.finish(task_id)
        one.store.out = 1
        one.store.news = True
        for _ in range(3):
            two.clock.advance(0.2)
            await two.settle()
        assert two.told(task_id) == list(range(1, task.seq + 1))
        await keeper.stop_looking()

    run(scenario())


class ToldOnce(FakeStore):
    """As SQLite: says once that something changed. ``out``: so many looks at a task fail."""

    out, news = 0, False

    async def quiet_until(self):
        news, self.news = self.news, False
        return None if news else 0

    async def find(self, task_id, *, owner=None):
        if self.out and owner is None:
            self.out -= 1
            raise OUT
        return await super().find(task_id, owner=owner)


def test_an_attempt_whose_lease_is_lost_at_a_checkpoint_is_stopped():
    async def scenario():
        house = House({"research": [[Checkpoint(value=1), finished()]]}, store=Taken())
        stopped = []
        slot_run = house.executor.reserve

        async def reserve(owner, runtime):
            slot = await slot_run(owner, runtime)
            run_of = slot.run

            def run(attempt):
                made = run_of(attempt)
                stop = made.stop

                async def noted(grace_s):
                    stopped.append(grace_s)
                    await stop(grace_s)

                made.stop = noted
                return made

            slot.run = run
            return slot

        house.executor.reserve = reserve
        task_id = await house.launch()
        await house.finish(task_id)
        assert stopped == [0]
        assert house.executor.out == 0

    run(scenario())


class Taken(FakeStore):
    async def add_checkpoint(self, task_id, phase, attempt, value, lease=None):
        raise LeaseLost("one", task_id)


# --- time and checkpoints ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_tasks_time_is_over_when_it_was_spent_whatever_the_wall_clock_says(jump):
    async def scenario():
        house = House()
        house.executor.hold("research")
        task_id = await house.launch(timeouts={"task": 100}, approve_before=("planning",))
        await house.settle()
        house.clock.set_back(jump)
        house.clock.advance(60)
        await house.settle()
        house.executor.let_go("research")
        task = await house.until(task_id, "awaiting_approval")
        house.clock.advance(5000)  # a person's time is not the task's
        await house.settle()
        house.executor.hold("planning")
        await house.manager.approve("ada", task_id, "ada", "planning", task.approval.seq)
        await house.settle()
        house.clock.advance(39)
        await house.settle()
        assert (await house.manager.snapshot("ada", task_id)).state == "running"
        house.clock.advance(1)
        assert (await house.until(task_id, "failed")).error.error.type == "phasenb.TaskTimeout"

    run(scenario())


def test_a_phase_that_is_run_again_after_a_denial_finds_no_checkpoint_of_the_run_that_was_refused():
    async def scenario():
        script = {"planning": [[Checkpoint(value="half"), finished("bad plan")], [failed()], [finished("plan")]]}
        house = House(script)
        task_id = await house.launch(approve_before=("implementation",))
        task = await house.until(task_id, "awaiting_approval")
        await house.manager.deny("ada", task_id, "ada", "implementation", task.approval.seq, "no", "planning")
        await house.until(task_id, "retrying")
        await house.settle()
        house.clock.advance(60)
        task = await house.until(task_id, "awaiting_approval")
        plans = [attempt for attempt in house.executor.attempts if attempt.phase == "planning"]
        assert [attempt.checkpoint for attempt in plans] == [None, None, None]
        with pytest.raises(Conflict):
            await house.manager.approve("ada", task_id, "ada", "implementation", 1)

    run(scenario())


def test_a_phase_that_is_run_again_after_a_rollback_starts_anew_and_a_retry_does_not():
    async def scenario():
        kept = Checkpoint(value="half")
        script = {
            "planning": [[kept, failed("ValueError")], [finished("plan")], [finished("plan")]],
            "implementation": [[kept, failed("OSError")], [finished("done")]],
        }
        policy = {
            "defaults": {"retry": {"jitter": 0, "maximum_attempts": 2}},
            "phases": {"implementation": {"retry": {"maximum_attempts": 1}, "rollback": {"to": "planning"}}},
        }
        house = House(script, policy=policy)
        task_id = await house.launch()
        assert (await house.finish(task_id)).state == "completed"
        found = [(a.phase, a.attempt, a.checkpoint and a.checkpoint.value) for a in house.executor.attempts]
        assert found == [
            ("research", 1, None), ("planning", 1, None), ("planning", 2, "half"), ("implementation", 1, None),
            ("planning", 3, None), ("implementation", 2, None),
        ]  # fmt: skip

    run(scenario())
