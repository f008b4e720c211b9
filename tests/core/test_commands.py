"""What each command does in each state of a task: it takes effect, holds already, or is refused and changes nothing."""

from datetime import UTC, datetime

import pytest

from phasenb.core.decisions import Decision
from phasenb.core.plan import Ended, Plan
from phasenb.core.reports import Outcome
from phasenb.dto.launch import Launch
from phasenb.dto.phase_result import ErrorInfo, ResultStatus
from phasenb.dto.task_state import State
from phasenb.errors import IllegalTransition

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BUSY = Outcome(ResultStatus.FAILED, error=ErrorInfo(type="ConnectionError", message="busy"))
WRONG = Outcome(ResultStatus.FAILED, error=ErrorInfo(type="TypeError", retryable=False))
DONE = Outcome(ResultStatus.COMPLETE, output=1)
HOLDS, REFUSED = "holds already", "refused"


def queued(gates=()):
    decision = Decision(None, NOW, plan=Plan(approve_before=gates), task_id="01KC0000000000000000000000", session="nb")
    decision.create(Launch(agent="a"), "a", ("look", "fit"))
    return decision


def running():
    decision = queued()
    decision.proceed("worker", {})
    return decision


def ended(*outcomes):
    """Running, then ended with the first of these, running again where there are more."""
    decision = queued()
    for outcome in outcomes:
        attempt = decision.proceed("worker", {})
        decision.settle(Ended(attempt.phase, outcome, "worker", 0.5))
    return decision


def completed():
    decision = ended(DONE, DONE)
    decision.proceed(None, {})
    return decision


def at_a_gate():
    decision = queued(("look",))
    decision.proceed(None, {})
    return decision


def after(decision, command):
    decision = decision()
    getattr(decision, command)("ada")
    return decision


STATES = {
    State.QUEUED: queued,
    State.RUNNING: running,
    State.RETRYING: lambda: ended(BUSY),
    State.AWAITING_APPROVAL: at_a_gate,
    State.PAUSED: lambda: after(queued, "pause"),
    State.CANCELLING: lambda: after(running, "cancel"),
    State.COMPLETED: completed,
    State.FAILED: lambda: ended(WRONG),
    State.CANCELLED: lambda: after(queued, "cancel"),
}
COMMANDS = {
    "cancel": lambda decision: decision.cancel("bob"),
    "pause": lambda decision: decision.pause("bob"),
    "resume": lambda decision: decision.resume("bob"),
    "retry": lambda decision: decision.retry("bob", None),
    "give_up": lambda decision: decision.give_up("bob"),
}
S = State
EFFECTS = {
    #                     cancel        pause     resume    retry      give_up
    S.QUEUED:            (S.CANCELLED,  S.PAUSED, HOLDS,    REFUSED,  REFUSED),
    S.RUNNING:           (S.CANCELLING, S.PAUSED, HOLDS,    REFUSED,  REFUSED),
    S.RETRYING:          (S.CANCELLED,  S.PAUSED, HOLDS,    REFUSED,  S.QUEUED),
    S.AWAITING_APPROVAL: (S.CANCELLED,  S.PAUSED, HOLDS,    REFUSED,  REFUSED),
    S.PAUSED:            (S.CANCELLED,  HOLDS,    S.QUEUED, REFUSED,  REFUSED),
    S.CANCELLING:        (HOLDS,        REFUSED,  REFUSED,  REFUSED,  REFUSED),
    S.COMPLETED:         (REFUSED,      REFUSED,  REFUSED,  REFUSED,  REFUSED),
    S.FAILED:            (REFUSED,      REFUSED,  REFUSED,  S.QUEUED, REFUSED),
    S.CANCELLED:         (HOLDS,        REFUSED,  REFUSED,  S.QUEUED, REFUSED),
}  # fmt: skip


def test_every_state_is_in_the_table():
    assert set(STATES) == set(EFFECTS) == set(State)


@pytest.mark.parametrize(
    ("state", "command", "effect"),
    [(state, command, effect) for state, row in EFFECTS.items() for command, effect in zip(COMMANDS, row, strict=True)],
)
def test_a_command_takes_effect_once_or_is_refused(state, command, effect):
    decision = STATES[state]()
    assert decision.state.state is state
    before, steer = decision.state, COMMANDS[command]
    if effect is REFUSED:
        with pytest.raises(IllegalTransition, match=f"is {state}: {command} is not possible"):
            steer(decision)
        assert decision.state is before
        return
    steer(decision)
    if effect is HOLDS:
        assert decision.state is before
        return
    assert decision.state.state is effect
    if command != "retry":  # a second retry is of a task that has not ended
        once = decision.state
        steer(decision)
        assert decision.state is once, "given twice, it takes effect once"


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.RETRYING, State.AWAITING_APPROVAL])
def test_a_resumed_task_is_again_what_it_was(state):
    decision = STATES[state]()
    decision.pause("ada")
    decision.resume("ada")
    assert decision.state.state is state
