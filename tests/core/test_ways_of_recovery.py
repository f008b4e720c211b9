"""Recovery over fakes: gates, rollback, fallback, timeouts, thresholds, pause and manual retry, on a moved clock."""

import asyncio

import pytest

from phasenb.core.history import history_of
from phasenb.core.task_schema import apply
from phasenb.dto.task_state import State
from phasenb.errors import Conflict, LaunchError, WorkerLost
from phasenb.testing import failed, finished

PHASES = ("research", "planning", "implementation")
ON_BUSY = {action: [{"exception": "m.Busy", "action": action}] for action in ("fallback", "rollback")}
ONCE = {"retry": {"maximum_attempts": 1}}


# --- gates ---------------------------------------------------------------------------------------------------------


def test_a_gate_waits_without_a_worker_and_an_edit_becomes_the_output(make_house, run):
    async def scenario():
        house = make_house()
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


def test_an_edit_may_be_null(make_house, run):
    async def scenario():
        house = make_house()
        task_id = await house.launch(approve_before=("planning",))
        task = await house.until(task_id, State.AWAITING_APPROVAL)
        await house.manager.approve("ada", task_id, "ada", "planning", task.approval.seq, None, (None,))
        await house.finish(task_id)
        assert house.executor.attempts[1].values == {"research": None}

    run(scenario())


def test_a_denial_with_redo_runs_the_phase_again_with_the_reason_and_asks_again(make_house, run):
    async def scenario():
        house = make_house()
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


def test_a_denial_without_redo_ends_the_task(make_house, run):
    async def scenario():
        house = make_house()
        task_id = await house.launch(approve_before=("research",))
        task = await house.until(task_id, State.AWAITING_APPROVAL)
        await house.manager.deny("ada", task_id, "bob", "research", task.approval.seq, "not today")
        assert (await house.finish(task_id)).state is State.CANCELLED
        assert house.executor.attempts == []
        assert (await house.types(task_id))[-2:] == ["approval_denied", "task_cancelled"]
        stopped = (await house.store.find(task_id)).task.stopped
        assert (stopped.by, stopped.phase, stopped.reason) == ("bob", "research", "not today")

    run(scenario())


# --- rollback and fallback -----------------------------------------------------------------------------------------


def test_a_rollback_undoes_in_reverse_order_and_goes_on(make_house, run):
    async def scenario():
        script = {"implementation": [[failed("OSError")], [finished("done")]]}
        policy = {"defaults": ONCE, "phases": {"implementation": {"rollback": {"to": "planning"}}}}
        house = make_house(script, policy=policy, undo=("planning", "implementation", "research"))
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


def test_every_phase_that_a_rollback_runs_again_is_told_why(make_house, run):
    async def scenario():
        script = {"implementation": [[failed("OSError")], [finished("done")]]}
        policy = {"defaults": ONCE, "phases": {"implementation": {"rollback": {"to": "research"}}}}
        house = make_house(script, policy=policy)
        assert (await house.finish(await house.launch())).state is State.COMPLETED
        again = house.executor.attempts[3:]
        assert [attempt.phase for attempt in again] == ["research", "planning", "implementation"]
        assert [attempt.failure and attempt.failure.type for attempt in again] == ["OSError"] * 3

    run(scenario())


def test_rollbacks_are_bounded_and_then_the_task_fails(make_house, run):
    async def scenario():
        script = {"implementation": [[failed("OSError", f"failure {n}")] for n in range(3)]}
        policy = {"defaults": ONCE, "phases": {"implementation": {"rollback": {"to": "planning", "maximum_times": 2}}}}
        house = make_house(script, policy=policy)
        task = await house.finish(await house.launch())
        assert task.state is State.FAILED
        assert task.error.error.message == "failure 2"
        assert [attempt.phase for attempt in house.executor.attempts].count("planning") == 3

    run(scenario())


def test_a_compensation_is_retried_and_what_stays_undone_is_said(make_house, run):
    async def scenario():
        script = {
            "implementation": [[failed("OSError", "boom")]],
            "undo implementation": [[failed("OSError")], [finished()]],
            "undo planning": [[failed("TypeError", "the file is gone")]],
        }
        policy = {
            "defaults": {"retry": {"jitter": 0, "retryable": "any", "non_retryable": ["TypeError"]}},
            "phases": {"implementation": {"retry": {"maximum_attempts": 2}, "rollback": {"to": "planning"}}},
        }
        script["implementation"].append([failed("OSError", "boom")])
        house = make_house(script, policy=policy, undo=("planning", "implementation"))
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


def test_the_own_fallback_runs_after_the_retries_and_its_attempts_count_anew(make_house, run):
    async def scenario():
        script = {"planning": [[failed("OSError", "no")], [failed("KeyError")], [finished("plan B")]]}
        policy = {
            "defaults": {"retry": {"maximum_attempts": 1}},
            "phases": {"planning": {"retry": {"maximum_attempts": 1}}},
        }
        policy["phases"]["planning"]["rules"] = [
            {"exception": "KeyError", "retry": {"maximum_attempts": 2, "jitter": 0}}
        ]
        house = make_house(script, policy=policy, instead=("planning",))
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


def test_a_registered_agent_as_fallback(make_house, run):
    async def scenario():
        script = {"planning": [[failed("OSError")], [finished("plan B")]]}
        policy = {"defaults": ONCE, "phases": {"planning": {"fallback": "other"}}}
        house = make_house(script, policy=policy, agents={"other": "their.module:agent"})
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


def test_a_history_folded_from_the_log_is_the_one_that_was_lived(make_house, run):
    async def scenario():
        plans = [[failed("OSError")], [finished("plan")], [finished("other plan")]]
        script = {"planning": plans, "implementation": [[failed("OSError")]] * 2}
        policy = {"defaults": ONCE, "phases": {"implementation": {"rollback": {"to": "planning"}}}}
        house = make_house(script, policy=policy, instead=("planning",), undo=("planning",))
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
        ({"defaults": {"timeouts": {"attempt": 0}}}, r"defaults\.timeouts\.attempt: 0 seconds is no time"),
        (
            {"thresholds": [{"errors": 1, "window": 0, "action": "abort"}]},
            r"thresholds\.0\.window: 0 seconds is no time",
        ),
        ({"defaults": {"retry": {"maximum_attempts": True}}}, "maximum_attempts: .*a number is meant"),
        (
            {"defaults": {"rules": ON_BUSY["rollback"]}},
            r"defaults\.rules\.0\.action: .*there is no rollback for research, ",
        ),
        ({"phases": {"planning": {"rules": ON_BUSY["fallback"]}}}, "there is no fallback for planning$"),
        ({"defaults": {"fallback": None, "rules": ON_BUSY["fallback"]}}, "says fallback, and there is no fallback for"),
        (
            {"phases": {"planning": {"fallback": "no.such:thing"}}},
            r"planning\.fallback: .*'no.such:thing' can't be had",
        ),
        ({"phases": {"planning": {"fallback": "others"}}}, "does not know .it knows other.*Did you mean `other`"),
        ({"phases": {"own": {}}}, "names 'own', which is no phase"),
        ({"phases": {"implementation": {"fallback": "other"}}}, r"does not have .*\(implementation\): it has research"),
    ],
)
def test_a_launch_whose_policy_could_not_do_what_it_says_is_refused(recovery, told, make_house, run):
    async def scenario():
        house = make_house(instead=("research",), agents={"other": "m:other"})
        house.executor.describe = described(house.executor)
        with pytest.raises(LaunchError, match=f"(?s){told}"):
            await house.launch(recovery=recovery)
        assert await house.store.tasks("ada") == []

    run(scenario())


@pytest.mark.parametrize(
    "recovery",
    [
        {"defaults": {"rules": ON_BUSY["fallback"]}},  # research has one of its own
        {"phases": {"planning": {"rules": ON_BUSY["fallback"], "fallback": "other"}}},
        {"defaults": {"rules": ON_BUSY["rollback"]}, "phases": {"planning": {"rollback": {"to": "research"}}}},
        {"phases": {"planning": {"fallback": "cant.tell:now"}}},
    ],
)
def test_a_launch_whose_policy_may_do_what_it_says_is_taken(recovery, make_house, run):
    async def scenario():
        house = make_house(instead=("research",), agents={"other": "m:other"})
        house.executor.describe = described(house.executor)
        assert (await house.finish(await house.launch(recovery=recovery))).state is State.COMPLETED

    run(scenario())


def test_a_secret_that_a_process_needs_to_run_is_refused(make_house, run):
    async def scenario():
        with pytest.raises(LaunchError, match="names PATH, which is what a phase's process needs"):
            await make_house().launch(secrets={"PATH": "env:X"})

    run(scenario())


def test_what_the_hosts_file_says_keeps_no_launch_back(make_house, run):
    async def scenario():
        house = make_house(policy={"defaults": {"rules": ON_BUSY["fallback"]}})
        recovery = {"phases": {"planning": {"retry": {"maximum_attempts": 2}}}}
        assert (await house.finish(await house.launch(recovery=recovery))).state is State.COMPLETED

    run(scenario())


def described(executor):
    """What a worker says of the workflow, of the agent ``m:other``, and of those that it can't have."""

    async def describe(owner, runtime, agent, code, objects_url, **variables):
        if agent == "no.such:thing":
            raise LaunchError("no module named 'no'")
        if agent == "cant.tell:now":
            raise WorkerLost("worker-1", "was killed")
        return executor.spec if agent is None else executor.spec.changed(name="other", phases=("research", "planning"))

    return describe


def test_the_attempts_that_are_left_are_counted_from_where_the_phase_began_anew(make_house, run):
    async def scenario():
        policy = {
            "defaults": {"retry": {"maximum_attempts": 2, "initial_interval": 0, "jitter": 0}},
            "phases": {"planning": {"rollback": {"to": "research"}}},
        }
        bad = [failed("OSError")]
        house = make_house({"planning": [bad, bad, bad, [finished()]]}, policy=policy)
        task_id = await house.launch()
        assert (await house.finish(task_id)).state is State.COMPLETED
        task, started = None, []
        for event in await house.events(task_id):
            task = apply(task, event)
            if event.type == "phase_started" and event.phase == "planning":
                phase = task.phase_named("planning")
                started.append((phase.attempt, phase.maximum_attempts, phase.set_aside))
        assert started == [(1, None, 0), (2, 2, 0), (3, None, 2), (4, 4, 2)]
        assert task.phase_named("research").set_aside == 1

    run(scenario())
