"""What holds a task back or ends it, over fakes and on a moved clock: time, thresholds, pause, cancel, manual retry."""

import asyncio

import pytest

from phasenb.dto.agent_spec import FunctionSpec
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.dto.phase import Step
from phasenb.dto.task_state import State
from phasenb.errors import BadMessage, Conflict, IllegalTransition, LaunchError, LaunchesPaused
from phasenb.testing import failed, finished
from tests.core.houses import STEADY

PHASES = ("research", "planning", "implementation")
ONCE = {"retry": {"maximum_attempts": 1}}


def test_an_attempt_that_takes_too_long_is_a_failure_that_is_retried(make_house, run):
    async def scenario():
        house = make_house()
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


def test_silence_is_a_failure_and_every_report_is_a_sign_of_life(make_house, run):
    async def scenario():
        house = make_house({"research": [[Step(percent=1), finished()]] * 5})
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


def test_a_task_has_its_own_time_and_waiting_for_a_person_is_not_part_of_it(make_house, run):
    async def scenario():
        house = make_house()
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


def test_a_threshold_ends_a_task_instead_of_trying_again(make_house, run):
    async def scenario():
        thresholds = [{"errors": 2, "window": "1h", "action": "abort"}]
        house = make_house({"research": [[failed("OSError", "no")]] * 9}, policy={**STEADY, "thresholds": thresholds})
        task_id = await house.launch()
        while not house.clock.sleeping:
            await asyncio.sleep(0)
        house.clock.advance(10)
        task = await house.finish(task_id)
        assert task.state is State.FAILED
        assert "2 failures within 3600 s in session nb" in task.error.error.message

    run(scenario())


def test_a_threshold_holds_back_launches_until_someone_says_go_on(make_house, run):
    async def scenario():
        thresholds = [{"errors": 1, "window": "1h", "action": "pause_launches"}]
        policy = {"defaults": ONCE, "thresholds": thresholds}
        house = make_house({"research": [[failed("OSError", "no")], [finished()], [finished()]]}, policy=policy)
        await house.finish(await house.launch())
        with pytest.raises(LaunchesPaused, match="resume_launches"):
            await house.launch()
        house.manager.resume_launches("ada", "nb")
        await house.finish(await house.launch())
        assert (
            await house.manager.launch("ada", "other", Launch(code="eA==", options=LaunchOptions(phases=PHASES)))
        ).task

    run(scenario())


def test_a_pause_lets_the_attempt_finish_and_starts_nothing_new(make_house, run):
    async def scenario():
        house = make_house()
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
        house.executor.hold("planning")
        await house.manager.resume("ada", task_id, "ada")
        await house.manager.resume("ada", task_id, "ada")
        house.executor.let_go("planning")
        assert (await house.finish(task_id)).state is State.COMPLETED
        with pytest.raises(IllegalTransition, match="is completed: pause is not possible") as refused:
            await house.manager.pause("ada", task_id, "ada")
        assert refused.value.command == "pause"
        with pytest.raises(IllegalTransition):
            await house.manager.resume("ada", task_id, "ada")

    run(scenario())


def test_a_pause_during_the_last_phase_lets_the_task_complete(make_house, run):
    async def scenario():
        house = make_house()
        house.executor.hold("implementation")
        task_id = await house.launch()
        while len(house.executor.attempts) < 3:
            await asyncio.sleep(0)
        await house.manager.pause("ada", task_id, "ada")
        house.executor.let_go("implementation")
        assert (await house.finish(task_id)).state is State.COMPLETED

    run(scenario())


def test_a_paused_retry_keeps_its_wait(make_house, run):
    async def scenario():
        house = make_house({"research": [[failed("OSError")], [finished()]]})
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


def test_an_edit_before_the_first_phase_is_refused_and_the_gate_stays_open(make_house, run):
    async def scenario():
        house = make_house()
        task_id = await house.launch(approve_before=("research",))
        gate = (await house.until(task_id, "awaiting_approval")).approval
        with pytest.raises(BadMessage, match="research is the first phase: there is no output before it to edit"):
            await house.manager.approve("ada", task_id, "ada", "research", gate.seq, edit=(None,))
        await house.manager.approve("ada", task_id, "ada", "research", gate.seq)
        assert (await house.finish(task_id)).state == "completed"

    run(scenario())


def test_a_secret_that_was_missing_costs_no_attempt_and_no_threshold(make_house, run):
    missing = [failed("phasenb.SecretUnavailable", "not there")]
    policy = {
        "defaults": {"retry": {"jitter": 0, "maximum_attempts": 2}},
        "thresholds": [{"errors": 2, "window": 3600, "action": "abort"}],
    }

    async def scenario():
        house = make_house({"research": [missing, missing, [failed("ValueError")], [finished()]]}, policy=policy)
        task_id = await house.launch()
        for _ in range(2):
            await house.until(task_id, "paused")
            await house.manager.resume("ada", task_id, "ada")
        while not house.clock.sleeping:
            await asyncio.sleep(0)
        retrying = (await house.events(task_id))[-1]
        assert (retrying.type, retrying.attempt, retrying.maximum_attempts) == ("phase_retrying", 4, 4)
        house.clock.advance(60)
        assert (await house.finish(task_id)).state == "completed"

    run(scenario())


def test_a_secret_that_is_not_there_pauses_the_task_and_says_so(make_house, run):
    async def scenario():
        house = make_house(
            {"research": [[failed("phasenb.SecretUnavailable", "OPENAI_API_KEY: env:X is not set")], [finished()]]}
        )
        task_id = await house.launch()
        task = await house.until(task_id, State.PAUSED)
        assert "OPENAI_API_KEY" in task.error.error.message
        await house.manager.resume("ada", task_id, "ada")
        assert (await house.finish(task_id)).state is State.COMPLETED

    run(scenario())


def test_a_failed_task_is_run_again_from_where_it_failed_with_other_code(make_house, run):
    async def scenario():
        house = make_house({"planning": [[failed("TypeError")], [finished("plan")]]}, policy={"defaults": ONCE})
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


def test_a_cancel_does_not_wait_for_what_the_agent_says_of_itself(make_house, run):
    async def scenario():
        house = make_house({"research": [[failed()]]})
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


# --- a manual retry with other code --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"functions": {}}, "has no phase `planning`, which the task has still to run"),
        (
            {"functions": {"planning": FunctionSpec(name="plan", required=("serch",))}},
            "`plan` .*needs the input `serch`",
        ),
    ],
)
def test_a_retry_with_code_that_cannot_go_on_is_refused_before_anything_changes(spec, told, make_house, run):
    async def scenario():
        house = make_house({"planning": [[failed("KeyError")], [finished()]]}, policy={"defaults": ONCE})
        task_id = await house.launch()
        before = await house.finish(task_id)
        whole = house.executor.spec
        house.executor.spec = whole.changed(**spec)
        with pytest.raises(LaunchError, match=told):
            await house.manager.retry("ada", task_id, "ada", code="bmV3")
        assert (await house.store.find(task_id)).task == before
        assert (await house.store.launch(task_id)).code == "eA=="
        # What is finished already it need not have.
        house.executor.spec = whole.changed(functions={n: f for n, f in whole.functions.items() if n != "research"})
        await house.manager.retry("ada", task_id, "ada", code="bmV3")
        assert (await house.finish(task_id)).state is State.COMPLETED

    run(scenario())
