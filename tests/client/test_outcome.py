"""The error that whoever waited for a task gets: it says who ended it, and why."""

from datetime import UTC, datetime

import pytest

from phasenb.client.outcome import raise_unless_completed
from phasenb.client.task_model import TaskModel
from phasenb.core.decisions import Decision
from phasenb.core.plan import Ended, Plan
from phasenb.core.reports import Outcome
from phasenb.display.text import task_text
from phasenb.dto.launch import Launch
from phasenb.dto.phase_result import ErrorInfo, ResultStatus
from phasenb.dto.policies import RecoveryPolicy
from phasenb.errors import TaskCancelled

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BACK = {"retry": {"maximum_attempts": 1}, "rollback": {"to": "look"}}
POLICY = RecoveryPolicy.model_validate({"phases": {"fit": BACK}})
BOOM = Outcome(ResultStatus.FAILED, error=ErrorInfo(type="OSError", message="boom"))


def cancelled(decision):
    decision.cancel("bob")


def denied(decision):
    decision.deny("bob", "look", "too dear", None)


def cancelled_in_a_rollback(decision):
    look = decision.proceed("worker", {})
    decision.settle(Ended(look.phase, Outcome(ResultStatus.COMPLETE), "worker", 0.5))
    fit = decision.proceed("worker", {})
    decision.settle(Ended(fit.phase, BOOM, "worker", 0.5))
    decision.cancel("bob")


@pytest.mark.parametrize(
    ("end", "gates", "told", "shown"),
    [
        (cancelled, (), "cancelled by bob", "cancelled by bob"),
        (denied, ("look",), "denied before look by bob: too dear", "denied before look by bob: too dear"),
        (
            cancelled_in_a_rollback,
            (),
            "cancelled by bob, in the middle of a rollback: boom\nNot undone: look",
            "cancelled by bob\n  OSError: boom\n  Not undone: look",
        ),
    ],
)
def test_a_cancelled_task_says_who_ended_it_and_why(end, gates, told, shown):
    plan = Plan(POLICY, gates, compensations=frozenset({"look"}))
    decision = Decision(None, NOW, plan=plan, task_id="01KC0000000000000000000000", session="nb")
    decision.create(Launch(agent="a"), "a", ("look", "fit"))
    if gates:
        decision.proceed("worker", {})
    end(decision)
    model = TaskModel(decision.task_id)
    model.state = decision.state
    with pytest.raises(TaskCancelled) as raised:
        raise_unless_completed(model, "01K")
    assert str(raised.value) == f"task 01K was {told}"
    assert str(TaskCancelled(**raised.value.details)) == str(raised.value), "its facts make the same sentence"
    assert shown in task_text(decision.state, now=NOW)
