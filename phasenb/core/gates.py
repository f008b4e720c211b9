"""Answers to approval gates, as what a decision is to do. An answer counts only for the gate that was seen, and once:
whoever gives the same one again (a client whose link broke) is told that it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from phasenb.core.decisions import Decision
from phasenb.dto.events import ApprovalDenied, ApprovalGiven
from phasenb.dto.task_state import TaskState
from phasenb.dto.values import Json
from phasenb.errors import BadMessage, Conflict, LaunchError


@dataclass(frozen=True, slots=True)
class Answer:
    """``decide`` raises Conflict where the gate of event ``if_seq`` has moved on; ``alike``: whether it did so by an
    answer that was this one.
    """

    if_seq: int
    decide: Callable[[Decision], None]
    alike: Callable[[ApprovalGiven | ApprovalDenied], bool]


def approval(by: str, phase: str, if_seq: int, note: str | None, edit: tuple[Json] | None) -> Answer:
    """``edit``: (value,) in place of the last output; ``decide`` also raises BadMessage where there is none yet."""

    def decide(decision: Decision) -> None:
        _check_gate(decision.state, phase, if_seq)
        if edit is not None and phase == decision.history.phases[0]:
            problem = f"{phase} is the first phase: there is no output before it to edit, and inputs stay as they are"
            raise BadMessage("this gate can't be opened with an edit", {"edit": problem})
        decision.approve(by, phase, note, edit)

    def alike(given: ApprovalGiven | ApprovalDenied) -> bool:
        if not isinstance(given, ApprovalGiven) or (given.phase, given.note) != (phase, note):
            return False
        edited = None if given.revision is None else (given.edited,)
        return edited == edit

    return Answer(if_seq, decide, alike)


def denial(by: str, phase: str, if_seq: int, reason: str, redo: str | None) -> Answer:
    """``decide`` also raises LaunchError where ``redo`` is no phase before the gate."""

    def decide(decision: Decision) -> None:
        _check_gate(decision.state, phase, if_seq)
        before = decision.history.phases[: decision.history.phases.index(phase)]
        if redo is not None and redo not in before:
            raise LaunchError(f"{redo!r} is no phase before {phase} (those are: {', '.join(before) or 'none'})")
        decision.deny(by, phase, reason, redo)

    def alike(given: ApprovalGiven | ApprovalDenied) -> bool:
        said = (phase, reason, redo)
        return isinstance(given, ApprovalDenied) and (given.phase, given.reason, given.redo) == said

    return Answer(if_seq, decide, alike)


def _check_gate(task: TaskState, phase: str, if_seq: int) -> None:
    gate = task.approval
    if gate is None or (gate.phase, gate.seq) != (phase, if_seq):
        now = f"the gate before {gate.phase} with event {gate.seq}" if gate else f"no gate: it is {task.state}"
        raise Conflict(task.task_id, f"what was answered is not open any more; open is {now}")
