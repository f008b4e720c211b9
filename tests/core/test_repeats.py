"""Commands that come twice, as from a client whose link broke: the second one is told that what it asks for holds."""

import asyncio

import pytest

from phasenb.core.phase_manager import PhaseManager
from phasenb.dto.events import parse_event
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.errors import Conflict, IllegalTransition
from phasenb.testing import FakeClock, FakeStore, RecordingPublisher, ScriptedExecutor, failed, finished

PHASES = ("research", "planning", "implementation")


class House:
    def __init__(self, script=None):
        self.store = FakeStore()
        self.executor = ScriptedExecutor(script)
        self.manager = PhaseManager(self.store, {"process": self.executor}, RecordingPublisher(), FakeClock())

    async def launch(self, **options):
        launch = Launch(code="eA==", options=LaunchOptions(phases=PHASES, **options))
        return (await self.manager.launch("ada", "nb", launch)).task.task_id

    async def until(self, task_id, state):
        async with asyncio.timeout(5):
            while (task := await self.manager.snapshot("ada", task_id)).state != state:
                await asyncio.sleep(0)
            return task

    async def types(self, task_id):
        return [parse_event(text).type for text in await self.store.events(task_id, 0, 1000)]


@pytest.mark.parametrize("edit", [None, ({"better": 1},), (None,)])
def test_the_same_approval_twice_is_fine_and_another_one_is_a_conflict(edit):
    async def scenario():
        house = House()
        task_id = await house.launch(approve_before=("planning",))
        seq = (await house.until(task_id, "awaiting_approval")).approval.seq
        for _ in range(2):
            await house.manager.approve("ada", task_id, "ada", "planning", seq, "good", edit)
        await house.until(task_id, "completed")
        await house.manager.approve("ada", task_id[-8:], "ada", "planning", seq, "good", edit)
        for other in ({"note": "bad", "edit": edit}, {"note": "good", "edit": (7,)}):
            with pytest.raises(Conflict):
                await house.manager.approve("ada", task_id, "ada", "planning", seq, **other)
        with pytest.raises(Conflict):
            await house.manager.deny("ada", task_id, "ada", "planning", seq, "no")
        assert (await house.types(task_id)).count("approval_given") == 1

    asyncio.run(scenario())


def test_the_same_denial_twice_is_fine():
    async def scenario():
        house = House()
        task_id = await house.launch(approve_before=("planning",))
        seq = (await house.until(task_id, "awaiting_approval")).approval.seq
        for _ in range(2):
            await house.manager.deny("ada", task_id, "ada", "planning", seq, "no")
        with pytest.raises(Conflict):
            await house.manager.deny("ada", task_id, "ada", "planning", seq, "never")
        assert (await house.types(task_id)).count("approval_denied") == 1

    asyncio.run(scenario())


def test_the_same_retry_twice_is_one():
    async def scenario():
        house = House({"research": [[failed("Bug")], [finished()]]})
        house.executor.hold("planning")
        task_id = await house.launch(recovery={"defaults": {"retry": {"maximum_attempts": 1}}})
        seq = (await house.until(task_id, "failed")).seq
        await house.manager.ended(task_id)
        for _ in range(2):
            await house.manager.retry("ada", task_id, "ada", "research", seq)
        with pytest.raises(IllegalTransition):
            await house.manager.retry("ada", task_id, "ada", "research")
        house.executor.let_go("planning")
        await house.until(task_id, "completed")
        await house.manager.retry("ada", task_id, "ada", None, seq)
        assert (await house.types(task_id)).count("task_retried") == 1

    asyncio.run(scenario())


def test_a_refusal_names_the_command():
    async def scenario():
        house = House()
        task_id = await house.launch()
        await house.until(task_id, "completed")
        for command in ("pause", "resume", "cancel"):
            with pytest.raises(IllegalTransition, match=f"is completed: {command} is not possible") as refused:
                await getattr(house.manager, command)("ada", task_id, "ada")
            assert refused.value.command == command
        with pytest.raises(IllegalTransition) as refused:
            await house.manager.retry("ada", task_id, "ada")
        assert refused.value.command == "retry"

    asyncio.run(scenario())
