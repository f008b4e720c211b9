"""Attempts that ended as their host was frozen: made again, as no failure. Only a host can say so, and not for ever."""

import pytest

from phasenb.core.recovery import FREEZES
from phasenb.core.reports import Outcome
from phasenb.dto.phase_result import ErrorInfo, ResultStatus, frozen, is_failure
from phasenb.dto.task_state import State
from phasenb.testing import failed, finished

from .houses import House, run

BASES = ("phasenb.HostFrozen", "phasenb.WorkerLost", "phasenb.PhasenbError", "Exception")
THAWED = [Outcome(ResultStatus.LOST, error=ErrorInfo(type="phasenb.HostFrozen", message="slept", bases=BASES))]
TWICE = {"defaults": {"retry": {"maximum_attempts": 2, "initial_interval": 0, "jitter": 0}}}


async def ended(house):
    task_id = await house.launch(phases=("research", "planning"))
    return await house.finish(task_id), await house.events(task_id)


def test_a_phase_that_raises_what_a_frozen_host_says_has_failed():
    async def scenario():
        house = House({"research": [[failed("phasenb.HostFrozen", "pretended", bases=BASES)]] * 9}, policy=TWICE)
        task, events = await ended(house)
        assert (task.state, len(house.executor.attempts)) == (State.FAILED, 2)
        assert not [event for event in events if event.type == "task_recovered"]
        await house.manager.stop()

    run(scenario())


@pytest.mark.parametrize("times", [1, FREEZES])
def test_a_host_that_was_frozen_costs_no_attempt(times):
    async def scenario():
        house = House({"research": [THAWED] * times + [[finished(1)]]}, policy=TWICE)
        task, events = await ended(house)
        assert (task.state, len(house.executor.attempts)) == (State.COMPLETED, times + 2)
        assert [event.reason for event in events if event.type == "task_recovered"] == ["frozen"] * times
        assert not [event for event in events if event.type == "phase_failed"]
        await house.manager.stop()

    run(scenario())


def test_a_phase_during_which_its_host_is_frozen_again_and_again_is_the_policys():
    async def scenario():
        house = House({"research": [THAWED] * 99}, policy=TWICE)
        task, events = await ended(house)
        assert (task.state, task.error.error.type) == (State.FAILED, "phasenb.HostFrozen")
        assert len(house.executor.attempts) == FREEZES + 2
        assert [event.next for event in events if event.type == "phase_failed"] == ["retry", "abort"]
        await house.manager.stop()

    run(scenario())


def test_the_count_begins_anew_with_each_phase():
    async def scenario():
        script = {"research": [THAWED] * FREEZES + [[finished(1)]], "planning": [THAWED] * FREEZES + [[finished(2)]]}
        task, _ = await ended(House(script, policy=TWICE))
        assert task.state is State.COMPLETED

    run(scenario())


@pytest.mark.parametrize("status", list(ResultStatus))
def test_what_an_error_is_called_is_not_enough(status):
    error = THAWED[0].error
    assert frozen(status, error) is (status is ResultStatus.LOST)
    assert is_failure(status, error) is (status is ResultStatus.FAILED)
    assert not frozen(status, None)
