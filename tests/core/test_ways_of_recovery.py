"""Recovery over fakes: gates, rollback, fallback, timeouts, thresholds, pause and manual retry, on a moved clock."""

import asyncio

import pytest

from phasenb.core.history import history_of
from phasenb.core.phase_manager import PhaseManager
from phasenb.dto.agent_spec import FunctionSpec
from phasenb.dto.events import parse_event
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.dto.phase import Step
from phasenb.dto.policies import RecoveryPolicy
from phasenb.dto.task_state import State
from phasenb.errors import Conflict, IllegalTransition, LaunchError, LaunchesPaused
from phasenb.testing import FakeClock, FakeStore, RecordingPublisher, ScriptedExecutor, failed, finished

PHASES = ("research", "planning", "implementation")
ONCE = {"retry": {"maximum_attempts": 1}}


class House:
    """A PhaseManager over fakes, whose agent has the functions that a test gives it."""

    def __init__(self, script=None, *, policy=None, undo=(), instead=(), agents=None):
        self.clock, self.store, self.publisher = FakeClock(), FakeStore(), RecordingPublisher()
        self.executor = ScriptedExecutor(script)
        functions = {name: FunctionSpec(name=name, open=True) for name in PHASES}
        self.executor.spec = self.executor.spec.changed(
            compensations={name: functions[name] for name in undo},
            fallbacks={name: functions[name] for name in instead},
        )
        self.manager = PhaseManager(
            self.store,
            {"process": self.executor},
            self.publisher,
            self.clock,
            policy=RecoveryPolicy.model_validate(policy or {"defaults": {"retry": {"jitter": 0}}}),
            roll=lambda: 0.5,
            agents=agents,
        )

    async def launch(self, **options):
        options.setdefault("phases", PHASES)
        launch = Launch(code="eA==", options=LaunchOptions(**options))
        return (await self.manager.launch("ada", "nb", launch)).task.task_id

    async def until(self, task_id, state):
        while (task := await self.manager.snapshot("ada", task_id)).state != state:
            await asyncio.sleep(0)
        return task

    async def finish(self, task_id):
        await asyncio.wait_for(self.manager.ended(task_id), 5)
        return (await self.store.find(task_id)).task

    async def events(self, task_id):
        return [parse_event(text) for text in await self.store.events(task_id, 0, 1000)]

    async def types(self, task_id):
        return [event.type for event in await self.events(task_id)]

    def ran(self):
        return [(attempt.phase, attempt.kind) for attempt in self.executor.attempts]


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario, 10))


# --- gates ---------------------------------------------------------------------------------------------------------


def test_a_gate_waits_without_a_worker_and_an_edit_becomes_the_output():
    async def scenario():
        house = House()
        task_id = await house.launch(approve_before=("implementation",))
        task = await house.until(task_id, State.AWAITING_APPROVAL)
        assert (task.approval.phase, task.approval.output, task.approval.revision) == ("implementation", "planning", 1)
        assert house.executor.out == 0
        with pytest.raises(Conflict):
            await house.manager.approve("ada", task_id, "ada", "implementation", task.approval.seq - 1)
        with pytest.raises(Conflict):
            await house.manager.approve("ada", task_id, "ada", "planning", task.approval.seq)
        await house.manager.approve("ada", task_id, "ada", "implementation", task.approval.seq, "fine", ("better",))
        with pytest.raises(Conflict):
            await house.manager.approve("ada", task_id, "bob", "implementation", task.approval.seq)
        task = await house.finish(task_id)
        assert task.state is State.COMPLETED
        assert house.executor.attempts[-1].values["planning"] == "better"
        plans = [result for _, result in await house.store.results("ada") if result.phase == "planning"]
        assert [(result.revision, result.output) for result in plans] == [(1, "planning"), (2, "better")]
        assert plans[1].worker == "edited by ada"
        given = next(event for event in await house.events(task_id) if event.type == "approval_given")
        assert (given.by, given.note, given.edited, given.revision) == ("ada", "fine", "better", 2)

    run(scenario())


def test_an_edit_may_be_null():
    async def scenario():
        house = House()
        task_id = await house.launch(approve_before=("planning",))
        task = await house.until(task_id, State.AWAITING_APPROVAL)
        await house.manager.approve("ada", task_id, "ada", "planning", task.approval.seq, None, (None,))
        await house.finish(task_id)
        assert house.executor.attempts[1].values == {"research": None}

    run(scenario())


def test_a_denial_with_redo_runs_the_phase_again_with_the_reason_and_asks_again():
    async def scenario():
        house = House()
        task_id = await house.launch(approve_before=("implementation",))
        task = await house.until(task_id, State.AWAITING_APPROVAL)
        seq = task.approval.seq
        with pytest.raises(LaunchError, match="no phase before implementation"):
            await house.manager.deny("ada", task_id, "ada", "implementation", seq, "no", "implementation")
        await house.manager.deny("ada", task_id, "ada", "implementation", seq, "too dear", "planning")
        while (task := await house.until(task_id, State.AWAITING_APPROVAL)).approval.seq == seq:
            await asyncio.sleep(0)
        again = house.executor.attempts[-1]
        assert (again.phase, again.attempt, again.feedback) == ("planning", 2, "too dear")
        assert sorted(again.values) == ["research"]
        await house.manager.approve("ada", task_id, "ada", "implementation", task.approval.seq)
        assert (await house.finish(task_id)).state is State.COMPLETED
        assert house.executor.attempts[-1].feedback is None

    run(scenario())


def test_a_denial_without_redo_ends_the_task():
    async def scenario():
        house = House()
        task_id = await house.launch(approve_before=("research",))
        task = await house.until(task_id, State.AWAITING_APPROVAL)
        await house.manager.deny("ada", task_id, "bob", "research", task.approval.seq, "not today")
        assert (await house.finish(task_id)).state is State.CANCELLED
        assert house.executor.attempts == []
        assert (await house.types(task_id))[-2:] == ["approval_denied", "task_cancelled"]

    run(scenario())


# --- rollback and fallback -----------------------------------------------------------------------------------------


def test_a_rollback_undoes_in_reverse_order_and_goes_on():
    async def scenario():
        script = {"implementation": [[failed("OSError")], [finished("done")]]}
        policy = {"defaults": ONCE, "phases": {"implementation": {"rollback": {"to": "planning"}}}}
        house = House(script, policy=policy, undo=("planning", "implementation", "research"))
        task_id = await house.launch()
        task = await house.finish(task_id)
        assert task.state is State.COMPLETED
        assert house.ran() == [
            ("research", "phase"), ("planning", "phase"), ("implementation", "phase"),
            ("implementation", "compensation"), ("planning", "compensation"),
            ("planning", "phase"), ("implementation", "phase"),
        ]  # fmt: skip
        undo, again = house.executor.attempts[3], house.executor.attempts[5]
        assert undo.failure.type == "OSError"
        assert again.failure.type == "OSError", "the phase that runs again must be told why"
        rolled = next(event for event in await house.events(task_id) if event.type == "phase_rolled_back")
        assert (rolled.to, rolled.compensated, rolled.not_undone) == ("planning", ("implementation", "planning"), ())
        kinds = [(result.phase, result.kind) for _, result in await house.store.results("ada")]
        assert kinds.count(("planning", "compensation")) == 1

    run(scenario())


def test_rollbacks_are_bounded_and_then_the_task_fails():
    async def scenario():
        script = {"implementation": [[failed("OSError", f"failure {n}")] for n in range(3)]}
        policy = {"defaults": ONCE, "phases": {"implementation": {"rollback": {"to": "planning", "maximum_times": 2}}}}
        house = House(script, policy=policy)
        task = await house.finish(await house.launch())
        assert task.state is State.FAILED
        assert task.error.error.message == "failure 2"
        assert [attempt.phase for attempt in house.executor.attempts].count("planning") == 3

    run(scenario())


def test_a_compensation_is_retried_and_what_stays_undone_is_said():
    async def scenario():
        script = {
            "implementation": [[failed("OSError", "boom")]],
            "undo implementation": [[failed("OSError")], [finished()]],
            "undo planning": [[failed("TypeError", "the file is gone")]],
        }
        policy = {
            "defaults": {"retry": {"jitter": 0, "non_retryable": ["TypeError"]}},
            "phases": {"implementation": {"retry": {"maximum_attempts": 2}, "rollback": {"to": "planning"}}},
        }
        script["implementation"].append([failed("OSError", "boom")])
        house = House(script, policy=policy, undo=("planning", "implementation"))
        task_id = await house.launch()
        for _ in range(2):  # the phase's own retry, then the compensation's
            while not house.clock.sleeping:
                await asyncio.sleep(0)
            house.clock.advance(100)
        task = await house.finish(task_id)
        assert task.state is State.FAILED
        assert "boom" in task.error.error.message
        told = "Not undone, as the compensation failed: planning (TypeError: the file is gone)"
        assert told in task.error.error.message
        rolled = next(event for event in await house.events(task_id) if event.type == "phase_rolled_back")
        assert (rolled.compensated, rolled.not_undone) == (("implementation",), ("planning",))

    run(scenario())


def test_the_own_fallback_runs_after_the_retries_and_its_attempts_count_anew():
    async def scenario():
        script = {"planning": [[failed("OSError", "no")], [failed("KeyError")], [finished("plan B")]]}
        policy = {
            "defaults": {"retry": {"maximum_attempts": 1}},
            "phases": {"planning": {"retry": {"maximum_attempts": 1}}},
        }
        policy["phases"]["planning"]["rules"] = [
            {"exception": "KeyError", "retry": {"maximum_attempts": 2, "jitter": 0}}
        ]
        house = House(script, policy=policy, instead=("planning",))
        task_id = await house.launch()
        while not house.clock.sleeping:
            await asyncio.sleep(0)
        house.clock.advance(100)
        task = await house.finish(task_id)
        assert task.state is State.COMPLETED
        plans = [attempt for attempt in house.executor.attempts if attempt.phase == "planning"]
        assert [attempt.fallback for attempt in plans] == [False, True, True]
        assert plans[1].failure.message == "no"
        results = [result for _, result in await house.store.results("ada") if result.phase == "planning"]
        assert [result.fallback for result in results] == [None, "own", "own"]
        assert task.phase_named("planning").fallback == "own"

    run(scenario())


def test_a_registered_agent_as_fallback():
    async def scenario():
        script = {"planning": [[failed("OSError")], [finished("plan B")]]}
        policy = {"defaults": ONCE, "phases": {"planning": {"fallback": "other"}}}
        house = House(script, policy=policy, agents={"other": "their.module:agent"})
        assert (await house.finish(await house.launch())).state is State.COMPLETED
        second = house.executor.attempts[2]
        assert (second.phase, second.agent, second.code, second.fallback) == (
            "planning",
            "their.module:agent",
            None,
            False,
        )
        assert house.executor.attempts[3].code == "eA=="

    run(scenario())


# --- time ----------------------------------------------------------------------------------------------------------


def test_an_attempt_that_takes_too_long_is_a_failure_that_is_retried():
    async def scenario():
        house = House()
        house.executor.hold("research")
        task_id = await house.launch(timeouts={"attempt": "5m"})
        await house.executor.started.get()
        while not house.clock.sleeping:
            await asyncio.sleep(0)
        house.clock.advance(300)
        task = await house.until(task_id, State.RETRYING)
        assert task.error.error.type == "phasenb.AttemptTimeout"
        assert "300 s" in task.error.error.message
        house.executor.let_go("research")
        while not house.clock.sleeping:
            await asyncio.sleep(0)
        house.clock.advance(10)
        assert (await house.finish(task_id)).state is State.COMPLETED

    run(scenario())


def test_silence_is_a_failure_and_every_report_is_a_sign_of_life():
    async def scenario():
        house = House({"research": [[Step(percent=1), finished()]] * 5})
        house.executor.hold("research")
        task_id = await house.launch(timeouts={"heartbeat": 60})
        await house.executor.started.get()
        while not house.clock.sleeping:
            await asyncio.sleep(0)
        assert house.clock.sleeping == [60]
        house.clock.advance(61)
        task = await house.until(task_id, State.RETRYING)
        assert task.error.error.type == "phasenb.HeartbeatTimeout"
        await house.manager.cancel("ada", task_id, "ada")
        assert (await house.finish(task_id)).state is State.CANCELLED

    run(scenario())


def test_a_task_has_its_own_time_and_waiting_for_a_person_is_not_part_of_it():
    async def scenario():
        house = House()
        house.executor.hold("implementation")
        task_id = await house.launch(timeouts={"task": 100}, approve_before=("implementation",))
        task = await house.until(task_id, State.AWAITING_APPROVAL)
        house.clock.advance(100_000)
        await asyncio.sleep(0)
        await house.manager.approve("ada", task_id, "ada", "implementation", task.approval.seq)
        await house.until(task_id, State.RUNNING)
        for _ in range(3):
            for _ in range(20):
                await asyncio.sleep(0)
            house.clock.advance(60)
        task = await house.finish(task_id)
        assert task.state is State.FAILED
        assert task.error.error.type == "phasenb.TaskTimeout"

    run(scenario())


# --- thresholds ----------------------------------------------------------------------------------------------------


def test_a_threshold_ends_a_task_instead_of_trying_again():
    async def scenario():
        thresholds = [{"errors": 2, "window": "1h", "action": "abort"}]
        house = House({"research": [[failed("OSError", "no")]] * 9}, policy={"thresholds": thresholds})
        task_id = await house.launch()
        while not house.clock.sleeping:
            await asyncio.sleep(0)
        house.clock.advance(10)
        task = await house.finish(task_id)
        assert task.state is State.FAILED
        assert "2 failures within 3600 s in session nb" in task.error.error.message

    run(scenario())


def test_a_threshold_holds_back_launches_until_someone_says_go_on():
    async def scenario():
        thresholds = [{"errors": 1, "window": "1h", "action": "pause_launches"}]
        policy = {"defaults": ONCE, "thresholds": thresholds}
        house = House({"research": [[failed("OSError", "no")], [finished()], [finished()]]}, policy=policy)
        await house.finish(await house.launch())
        with pytest.raises(LaunchesPaused, match="resume_launches"):
            await house.launch()
        house.manager.resume_launches("ada", "nb")
        await house.finish(await house.launch())
        assert (
            await house.manager.launch("ada", "other", Launch(code="eA==", options=LaunchOptions(phases=PHASES)))
        ).task

    run(scenario())


# --- pause and manual retry ----------------------------------------------------------------------------------------


def test_a_pause_lets_the_attempt_finish_and_starts_nothing_new():
    async def scenario():
        house = House()
        house.executor.hold("research")
        task_id = await house.launch()
        await house.executor.started.get()
        await house.manager.pause("ada", task_id, "ada")
        await house.manager.pause("ada", task_id, "ada")
        house.executor.let_go("research")
        while house.executor.out:
            await asyncio.sleep(0)
        task = await house.manager.snapshot("ada", task_id)
        assert (task.state, task.phases[0].status) == (State.PAUSED, "complete")
        await house.manager.resume("ada", task_id, "ada")
        await house.manager.resume("ada", task_id, "ada")
        assert (await house.finish(task_id)).state is State.COMPLETED
        with pytest.raises(IllegalTransition, match="is completed: pause is not possible") as refused:
            await house.manager.pause("ada", task_id, "ada")
        assert refused.value.command == "pause"
        with pytest.raises(IllegalTransition):
            await house.manager.resume("ada", task_id, "ada")

    run(scenario())


def test_a_pause_during_the_last_phase_lets_the_task_complete():
    async def scenario():
        house = House()
        house.executor.hold("implementation")
        task_id = await house.launch()
        while len(house.executor.attempts) < 3:
            await asyncio.sleep(0)
        await house.manager.pause("ada", task_id, "ada")
        house.executor.let_go("implementation")
        assert (await house.finish(task_id)).state is State.COMPLETED

    run(scenario())


def test_a_paused_retry_keeps_its_wait():
    async def scenario():
        house = House({"research": [[failed("OSError")], [finished()]]})
        task_id = await house.launch()
        await house.until(task_id, State.RETRYING)
        await house.manager.pause("ada", task_id, "ada")
        await house.until(task_id, State.PAUSED)
        await house.manager.resume("ada", task_id, "ada")
        assert (await house.until(task_id, State.RETRYING)).retry_at is not None
        while not house.clock.sleeping:
            await asyncio.sleep(0)
        house.clock.advance(10)
        assert (await house.finish(task_id)).state is State.COMPLETED

    run(scenario())


def test_a_secret_that_is_not_there_pauses_the_task_and_says_so():
    async def scenario():
        house = House(
            {"research": [[failed("phasenb.SecretUnavailable", "OPENAI_API_KEY: env:X is not set")], [finished()]]}
        )
        task_id = await house.launch()
        task = await house.until(task_id, State.PAUSED)
        assert "OPENAI_API_KEY" in task.error.error.message
        await house.manager.resume("ada", task_id, "ada")
        assert (await house.finish(task_id)).state is State.COMPLETED

    run(scenario())


def test_a_failed_task_is_run_again_from_where_it_failed_with_other_code():
    async def scenario():
        house = House({"planning": [[failed("TypeError")], [finished("plan")]]}, policy={"defaults": ONCE})
        task_id = await house.launch()
        task = await house.finish(task_id)
        with pytest.raises(Conflict):
            await house.manager.retry("ada", task_id, "ada", if_seq=task.seq - 1, code="eQ==")
        await house.manager.retry("ada", task_id, "ada", if_seq=task.seq, code="eQ==")
        task = await house.finish(task_id)
        assert task.state is State.COMPLETED
        assert [(a.phase, a.attempt, a.code) for a in house.executor.attempts] == [
            ("research", 1, "eA=="), ("planning", 1, "eA=="), ("planning", 2, "eQ=="), ("implementation", 1, "eQ=="),
        ]  # fmt: skip
        assert house.executor.attempts[2].values == {"research": "research"}
        retried = next(event for event in await house.events(task_id) if event.type == "task_retried")
        assert (retried.from_phase, retried.new_code, retried.by) == ("planning", True, "ada")
        with pytest.raises(IllegalTransition):
            await house.manager.retry("ada", task_id, "ada")

    run(scenario())


def test_a_history_folded_from_the_log_is_the_one_that_was_lived():
    async def scenario():
        plans = [[failed("OSError")], [finished("plan")], [finished("other plan")]]
        script = {"planning": plans, "implementation": [[failed("OSError")]] * 2}
        policy = {"defaults": ONCE, "phases": {"implementation": {"rollback": {"to": "planning"}}}}
        house = House(script, policy=policy, instead=("planning",), undo=("planning",))
        house.executor.hold("research")
        task_id = await house.launch()
        live = house.manager._live[task_id]
        house.executor.let_go("research")
        await house.finish(task_id)
        assert history_of(await house.events(task_id)) == live.history

    run(scenario())


# --- what a policy may say -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recovery", "told"),
    [
        ({"phases": {"implementation": {"rollback": {"to": "plannning"}}}}, "plannning.*Did you mean `planning`"),
        ({"phases": {"planning": {"rollback": {"to": "implementation"}}}}, "does not come before it.*research"),
        ({"defaults": {"rules": [{"exception": "OSError", "rollback": {"to": "plan"}}]}}, "names 'plan', which is no"),
        ({"phases": {"planning": {"timeouts": {"task": 5}}}}, "`task` limits the whole task"),
    ],
)
def test_a_launch_whose_policy_could_not_do_what_it_says_is_refused(recovery, told):
    async def scenario():
        with pytest.raises(LaunchError, match=f"(?s){told}"):
            await House().launch(recovery=recovery)

    run(scenario())


def test_a_cancel_does_not_wait_for_what_the_agent_says_of_itself():
    async def scenario():
        house = House({"research": [[failed()]]})
        asked, answered = asyncio.Event(), asyncio.Event()

        async def describe(*_, **__):
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                answered.set()

        house.executor.describe = describe
        task_id = await house.launch()
        await asyncio.wait_for(asked.wait(), 5)
        await house.manager.cancel("ada", task_id, "ada")
        task = await house.finish(task_id)
        assert task.state == "cancelled"
        assert answered.is_set()
        return await house.types(task_id)

    assert asyncio.run(scenario())[-2:] == ["cancel_requested", "task_cancelled"]
