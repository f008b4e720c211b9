"""The first attempt that fails and is not the last: whoever waits for the task is told, in one line.

Rules: told once of a task in this process, when it is known what follows; of what failed before somebody waited only
where it is what is waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakSet

from phasenb.client.task_model import TaskModel
from phasenb.display import words
from phasenb.display.text import failure_line
from phasenb.dto.phase import PhaseStatus
from phasenb.dto.task_state import State, TaskState

_watched: WeakSet[TaskModel] = WeakSet()


def tell_first_failure(model: TaskModel, tell: Callable[[str], object]) -> None:
    """Have ``tell`` called with the line. On the client's loop."""
    if model in _watched or model.over:
        return
    _watched.add(model)
    known = _count(model.state)

    def changed(state: TaskState) -> None:
        nonlocal known
        known = min(known, _count(state))  # a person's retry counts anew
        if state.state.terminal:
            stop()
        elif _count(state) > known and all(phase.status is not PhaseStatus.FAILED for phase in state.phases):
            line = failure_line(state)
            if line is not None:
                stop()
                tell(f"{words.plain(state.name)} {state.task_id}: {line}")

    stop = model.listen(lambda _: changed(model.state) if model.state is not None else None)
    if model.state is not None and model.state.state is State.RETRYING:
        known -= 1
        changed(model.state)


def _count(state: TaskState | None) -> int:
    return state.failures.count if state is not None and state.failures is not None else 0
