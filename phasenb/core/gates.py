"""Answers to approval gates, as what a decision is to do. An answer counts only for the gate that was seen."""

from __future__ import annotations

from collections.abc import Callable

from phasenb.core.decisions import Decision
from phasenb.dto.task_state import TaskState
from phasenb.dto.values import Json
from phasenb.errors import Conflict, LaunchError

Decide = Callable[[Decision], None]


def approval(by: str, phase: str, if_seq: int, note: str | None, edit: tuple[Json] | None) -> Decide:
    """Raises Conflict when it decides and the gate has moved on."""

    def decide(decision: Decision) -> None:
        _check_gate(decision.state, phase, if_seq)
        decision.approve(by, phase, note, edit)

    return decide


def denial(by: str, phase: str, if_seq: int, reason: str, redo: str | None) -> Decide:
    """Raises Conflict when it decides and the gate has moved on, LaunchError where ``redo`` is no phase before it."""

    def decide(decision: Decision) -> None:
        _check_gate(decision.state, phase, if_seq)
        before = decision.history.phases[: decision.history.phases.index(phase)]
        if redo is not None and redo not in before:
            raise LaunchError(f"{redo!r} is no phase before {phase} (those are: {', '.join(before) or 'none'})")
        decision.deny(by, phase, reason, redo)

    return decide


def _check_gate(task: TaskState, phase: str, if_seq: int) -> None:
    gate = task.approval
    if gate is None or (gate.phase, gate.seq) != (phase, if_seq):
        now = f"the gate before {gate.phase} with event {gate.seq}" if gate else f"no gate: it is {task.state}"
        raise Conflict(task.task_id, f"what was answered is not open any more; open is {now}")
