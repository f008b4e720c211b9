"""Commands that come twice, as from a client whose link broke: whether what is asked for was done already."""

from __future__ import annotations

from phasenb.core.gates import Answer
from phasenb.core.ports import Store
from phasenb.dto.events import ApprovalDenied, ApprovalGiven, BaseEvent, Event, RetryGivenUp, TaskRetried, parse_event

_PAGE = 1000


async def answered_alike(store: Store, task_id: str, answer: Answer) -> bool:
    """Whether the gate that was seen moved on by this very answer."""
    given = await _first_after(store, task_id, answer.if_seq, (ApprovalGiven, ApprovalDenied))
    return isinstance(given, ApprovalGiven | ApprovalDenied) and answer.alike(given)


async def retried_alike(store: Store, task_id: str, if_seq: int, from_phase: str | None) -> bool:
    """Whether the task, as it was seen at ``if_seq``, was retried from this phase."""
    retried = await _first_after(store, task_id, if_seq, (TaskRetried,))
    return isinstance(retried, TaskRetried) and retried.seq == if_seq + 1 and from_phase in (None, retried.from_phase)


async def given_up_alike(store: Store, task_id: str, if_seq: int) -> bool:
    """Whether the retry that the task waited for at ``if_seq`` was given up."""
    given_up = await _first_after(store, task_id, if_seq, (RetryGivenUp,))
    return given_up is not None and given_up.seq == if_seq + 1


async def _first_after(store: Store, task_id: str, seq: int, kinds: tuple[type[BaseEvent], ...]) -> Event | None:
    for text in await store.events(task_id, max(0, seq), _PAGE):
        event = parse_event(text)
        if isinstance(event, kinds):
            return event
    return None
