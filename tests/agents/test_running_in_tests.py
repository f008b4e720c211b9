"""phasenb.testing.run: what a person's own tests of a workflow look like."""

import asyncio

import pandas as pd
import pytest

import phasenb as pn
from phasenb.errors import ApprovalNeeded, LaunchError
from phasenb.testing import Approve, Deny, run


def workflow():
    flow = pn.Workflow("report")

    @flow.research
    def look(ctx, rows):
        for _ in ctx.track(range(rows)):
            pass
        return pd.DataFrame({"x": range(rows)})

    @flow.planning
    def plan(ctx, research):
        return {"mean": float(research["x"].mean()), "feedback": ctx.feedback}

    @flow.implementation
    def write(planning, ctx):
        return planning["mean"], ctx.attempt

    return flow


def test_a_run_returns_outputs_and_events():
    outputs, events = run(workflow(), {"rows": 3})
    pd.testing.assert_frame_equal(outputs["research"], pd.DataFrame({"x": range(3)}))
    assert outputs["planning"] == {"mean": 1.0, "feedback": None}
    assert outputs["implementation"] == (1.0, 1)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[-1].type == "task_complete"


def test_failures_are_retried_without_any_waiting():
    slow = {"defaults": {"retry": {"initial_interval": "2h", "maximum_interval": "9h", "maximum_attempts": 3}}}
    ran = run(
        workflow().with_options(recovery=slow), {"rows": 3}, fail={"implementation": [ValueError("no"), OSError()]}
    )
    assert ran.outputs["implementation"] == (1.0, 3)
    assert ran.types.count("phase_retrying") == 2
    hours = (ran.events[-1].at - ran.events[0].at).total_seconds() / 3600
    assert 5 < hours < 8


def test_a_failure_ends_the_task_and_is_no_exception():
    once = {"defaults": {"retry": {"maximum_attempts": 1}}}
    ran = run(workflow().with_options(recovery=once), {"rows": 3}, fail={"planning": [ValueError("no such column")]})
    assert ran.task.state == "failed"
    assert (ran.task.error.phase, ran.task.error.error.message) == ("planning", "no such column")
    assert list(ran.outputs) == ["research"]


def test_gates_are_answered_in_order():
    flow = workflow().with_options(approve_before=["implementation"])
    answers = {"implementation": [Deny("again", redo="planning"), Approve(edit={"mean": 7}, note="fine")]}
    ran = run(flow, {"rows": 3}, answers=answers)
    assert ran.outputs["implementation"] == (7, 1)
    assert "approval_denied" in ran.types
    with pytest.raises(ApprovalNeeded):
        run(flow, {"rows": 3})
    assert run(flow, {"rows": 3}, answers={"implementation": Deny()}).task.state == "cancelled"


def test_fallbacks_and_rollbacks_run_for_real():
    flow, undone = workflow(), []

    @flow.fallback("planning")
    def simpler(ctx):
        return {"mean": 0.5, "failure": ctx.failure.message}

    @flow.compensate("implementation")
    def undo(ctx):
        undone.append(ctx.failure.message)

    quick = {
        "defaults": {"retry": {"maximum_attempts": 1}},
        "phases": {"implementation": {"rollback": {"to": "planning"}}},
    }
    ran = run(
        flow.with_options(recovery=quick),
        {"rows": 3},
        fail={"planning": [OSError("gone")], "implementation": [OSError("x")]},
    )
    assert ran.outputs["implementation"][0] == 1.0, "the rollback ran planning itself again"
    assert undone == ["x"]
    assert "phase_fallback" in ran.types


def test_it_works_inside_a_running_loop_and_with_async_phases():
    flow = pn.Workflow("asks", phases=("ask",))

    @flow.phase("ask")
    async def ask():
        await asyncio.sleep(0)
        return "answer"

    async def test():
        return run(flow)

    assert asyncio.run(test()).outputs == {"ask": "answer"}


def test_what_does_not_fit_is_refused():
    with pytest.raises(LaunchError, match="row"):
        run(workflow(), {"row": 3})
    with pytest.raises(LaunchError, match="plan"):
        run(workflow(), {"rows": 3}, fail={"plan": [ValueError()]})
    with pytest.raises(LaunchError, match=r"ValueError\(\)"):
        run(workflow(), {"rows": 3}, fail={"planning": [ValueError]})
    rules = {"rules": [{"exception": "m.Busy", "action": "fallback"}]}
    with pytest.raises(LaunchError, match="no fallback for planning"):
        run(workflow().with_options(recovery={"phases": {"planning": rules}}), {"rows": 3})


def test_one_failure_needs_no_list():
    ran = run(workflow(), {"rows": 3}, fail={"planning": ConnectionError("once")})
    assert (ran.task.state, ran.types.count("phase_failed")) == ("completed", 1)
    assert run(workflow(), {"rows": 3}, fail={"planning": None}).task.state == "completed"


def test_a_fallback_that_is_another_agent_runs_in_the_phases_place():
    other = pn.ExtendedAgent(phases={"planning": lambda research: {"mean": 0.5}}, name="other")
    policy = {"phases": {"planning": {"fallback": "other", "retry": {"maximum_attempts": 1}}}}
    flow = workflow().with_options(recovery=policy)
    ran = run(flow, {"rows": 3}, fail={"planning": OSError("gone")}, agents={"other": other})
    assert ran.outputs["planning"] == {"mean": 0.5}
    with pytest.raises(LaunchError, match=r"does not have the phase it is for \(planning\)"):
        run(flow, {"rows": 3}, agents={"other": pn.ExtendedAgent(phases={"plan": lambda: 1}, name="other")})
