"""Commands that come twice, as from a client whose link broke: the second one is told that what it asks for holds."""

import asyncio

import pytest

from phasenb.errors import Conflict, IllegalTransition
from phasenb.testing import failed, finished

PHASES = ("research", "planning", "implementation")


@pytest.mark.parametrize("edit", [None, ({"better": 1},), (None,)])
def test_the_same_approval_twice_is_fine_and_another_one_is_a_conflict(edit, make_house):
    async def scenario():
        house = make_house()
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


def test_the_same_denial_twice_is_fine(make_house):
    async def scenario():
        house = make_house()
        task_id = await house.launch(approve_before=("planning",))
        seq = (await house.until(task_id, "awaiting_approval")).approval.seq
        for _ in range(2):
            await house.manager.deny("ada", task_id, "ada", "planning", seq, "no")
        with pytest.raises(Conflict):
            await house.manager.deny("ada", task_id, "ada", "planning", seq, "never")
        assert (await house.types(task_id)).count("approval_denied") == 1

    asyncio.run(scenario())


def test_the_same_retry_twice_is_one(make_house):
    async def scenario():
        house = make_house({"research": [[failed("Bug")], [finished()]]})
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


def test_a_refusal_names_the_command(make_house):
    async def scenario():
        house = make_house()
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
