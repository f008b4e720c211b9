"""An agent is built anew for each attempt, and nothing of a task's code is left when it is over."""

import sys
import threading
import types

import cloudpickle
import pytest

from phasenb.core.extended_agent import ExtendedAgent
from phasenb.errors import LaunchError
from phasenb.executors.loading import load_agent

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # as notebook cells go; a worker can't import this file


class Counting:
    def __init__(self):
        self.calls = 0

    def process(self):
        self.calls += 1
        return self.calls


@pytest.mark.parametrize("agent", [Counting(), ExtendedAgent(factory=Counting)], ids=["pickled", "factory"])
def test_each_attempt_in_a_worker_finds_the_agent_as_it_was_launched(agent, house, on_slot):
    async def twice(slot):
        attempt = house.attempt(agent)
        return [(await house.follow(slot.run(attempt))).value() for _ in range(2)]

    assert on_slot(twice) == [1, 1]


def test_each_inline_attempt_does_too(house, on_inline):
    async def twice(executor):
        slot = await executor.reserve("ada", None)
        attempt = house.attempt(Counting())
        return [(await house.follow(slot.run(attempt))).value() for _ in range(2)]

    assert on_inline(twice) == [1, 1]


@pytest.fixture
def registered(monkeypatch):
    """A module of registered agents."""
    module = types.ModuleType("registered_agents")
    module.counting = ExtendedAgent(Counting())
    locked = Counting()
    locked.lock = threading.Lock()
    module.locked = ExtendedAgent(locked)
    module.made = ExtendedAgent(factory=Counting)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.mark.parametrize("name", ["counting", "made"])
def test_a_registered_agent_is_copied_or_made(name, registered, house):
    first, second = (load_agent(f"registered_agents:{name}", None, house.folder) for _ in range(2))
    assert [each._functions().phases["implementation"].call() for each in (first, second)] == [1, 1]


def test_a_registered_agent_that_can_not_be_copied_is_refused_in_words(registered, house):
    with pytest.raises(LaunchError, match=r"'Counting' is built anew for each attempt, .* give a factory"):
        load_agent("registered_agents:locked", None, house.folder)


def test_a_task_leaves_no_class_behind(house, on_process):
    def defines():
        import numbers

        class Mine(numbers.Number):
            pass

        return Mine.__name__

    def subclasses():
        import numbers

        return [cls.__name__ for cls in numbers.Number.__subclasses__()]

    async def scenario(executor):
        told = []
        for function in (defines, subclasses):
            slot = await executor.reserve("ada", None)
            told.append((await house.run(slot, function)).value())
            told.append(slot.worker)
            await slot.release()
        return told

    defined, worker, left, same = on_process(scenario, workers=1)
    assert (defined, worker) == ("Mine", same)
    assert "Mine" not in left
