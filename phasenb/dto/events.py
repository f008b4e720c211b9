"""The durable facts of a task's log, and the two live messages that ride beside it.

Rules: an event's JSON is made once (``wire``) and is the same in the store and on the socket; ``seq`` counts from 1
without gaps; a model's fields are those of protocol.md, names and all.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from phasenb.dto.base import Message, PhaseName, SessionName, Time
from phasenb.dto.phase import AttemptKind, LogLine, Metric
from phasenb.dto.phase_result import ErrorInfo, PhaseResult
from phasenb.dto.values import Json

Next = Literal["retry", "fallback", "rollback", "abort"]


class BaseEvent(Message):
    """Common fields: ``seq`` from 1 without gaps, ``at`` when it was decided."""

    task_id: str
    session: SessionName
    seq: int = Field(ge=1)
    at: Time


class TaskCreated(BaseEvent):
    """``notebook``: the path of the notebook that launched it, on the machine of its kernel. ``secrets``: the variables
    whose values the launcher gave, which are stored nowhere. ``parent``: the task in whose phase it was launched.
    ``code``: which code it is (dto.launch.code_id), where it came with the launch.
    """

    type: Literal["task_created"] = "task_created"
    name: str
    agent: str
    phases: tuple[PhaseName, ...] = Field(min_length=1)
    inputs: dict[str, Json] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    key: str | None = None
    notebook: str | None = None
    secrets: tuple[str, ...] = ()
    parent: str | None = None
    code: str | None = None


class _AttemptEvent(BaseEvent):
    phase: PhaseName
    attempt: int = Field(ge=1)
    kind: AttemptKind = "phase"


class PhaseStarted(_AttemptEvent):
    type: Literal["phase_started"] = "phase_started"
    worker: str | None = None


class PhaseComplete(_AttemptEvent):
    type: Literal["phase_complete"] = "phase_complete"
    result: PhaseResult


class PhaseFailed(_AttemptEvent):
    """An attempt failed; ``given_up``: it had failed before, and what is next now takes the place of its retry.

    With ``next: rollback``: ``to`` is the phase that is run again after what came since is undone, and
    ``compensations`` are the phases whose compensations do that, in their order.
    """

    type: Literal["phase_failed"] = "phase_failed"
    error: ErrorInfo
    next: Next
    to: PhaseName | None = None
    compensations: tuple[PhaseName, ...] = ()
    given_up: bool = False


class PhaseRetrying(BaseEvent):
    """``attempt`` is the next one; it starts at ``due_at``."""

    type: Literal["phase_retrying"] = "phase_retrying"
    phase: PhaseName
    attempt: int = Field(ge=2)
    maximum_attempts: int | None = None
    delay_s: float
    due_at: Time


class PhaseRolledBack(BaseEvent):
    type: Literal["phase_rolled_back"] = "phase_rolled_back"
    phase: PhaseName
    to: PhaseName
    compensated: tuple[PhaseName, ...] = ()
    not_undone: tuple[PhaseName, ...] = ()


class PhaseFallback(BaseEvent):
    type: Literal["phase_fallback"] = "phase_fallback"
    phase: PhaseName
    agent: str


class ApprovalRequested(BaseEvent):
    """A gate before ``phase``; ``output`` is the last phase's, in its ``revision``."""

    type: Literal["approval_requested"] = "approval_requested"
    kind: Literal["gate"] = "gate"
    phase: PhaseName
    output: Json = None
    revision: int = 1


class ApprovalGiven(BaseEvent):
    """``revision``: of the last phase's output that ``edited`` is; None where it was approved as it was."""

    type: Literal["approval_given"] = "approval_given"
    phase: PhaseName
    edited: Json = None
    revision: int | None = None
    note: str | None = None
    by: str


class ApprovalDenied(BaseEvent):
    type: Literal["approval_denied"] = "approval_denied"
    phase: PhaseName
    reason: str
    redo: PhaseName | None = None
    by: str


class _ByEvent(BaseEvent):
    by: str


class TaskPaused(_ByEvent):
    type: Literal["task_paused"] = "task_paused"


class TaskResumed(_ByEvent):
    type: Literal["task_resumed"] = "task_resumed"


class CancelRequested(_ByEvent):
    type: Literal["cancel_requested"] = "cancel_requested"


class TaskCancelled(_ByEvent):
    """``error``: where it ends in the middle of a rollback, the failure that opened it and what stays undone."""

    type: Literal["task_cancelled"] = "task_cancelled"
    error: ErrorInfo | None = None


class TaskRecovered(BaseEvent):
    """``lost_attempt``: the attempt that the dead host was running, which is run again; null where none was.
    ``reason``: ``frozen`` where ``host`` had it all the time, and was frozen with all that it ran; else null.
    """

    type: Literal["task_recovered"] = "task_recovered"
    host: str
    lost_attempt: int | None = None
    reason: Literal["frozen"] | None = None


class TaskComplete(BaseEvent):
    type: Literal["task_complete"] = "task_complete"
    duration_s: float


class TaskError(BaseEvent):
    type: Literal["task_error"] = "task_error"
    error: ErrorInfo
    phase: PhaseName | None = None


class RetryGivenUp(_ByEvent):
    """The attempt of ``phase`` that was waited for is not made: what follows its last attempt follows now."""

    type: Literal["retry_given_up"] = "retry_given_up"
    phase: PhaseName


class TaskRetried(_ByEvent):
    type: Literal["task_retried"] = "task_retried"
    from_phase: PhaseName
    new_code: bool = False
    code: str | None = None


Event = (
    TaskCreated | PhaseStarted | PhaseComplete | PhaseFailed | PhaseRetrying | PhaseRolledBack | PhaseFallback
    | ApprovalRequested | ApprovalGiven | ApprovalDenied | TaskPaused | TaskResumed | TaskRecovered
    | CancelRequested | TaskCancelled | TaskComplete | TaskError | TaskRetried | RetryGivenUp
)  # fmt: skip
EVENT_CLASSES: dict[str, type[Event]] = {cls.model_fields["type"].default: cls for cls in Event.__args__}
EVENT_TYPES: tuple[str, ...] = tuple(EVENT_CLASSES)

_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])


def parse_event(data: str | bytes | dict[str, Any]) -> Event:
    """An event from its JSON text or object. Raises pydantic.ValidationError."""
    if isinstance(data, dict):
        return _EVENT.validate_python(data)
    return _EVENT.validate_json(data)


class PhaseUpdate(Message):
    """Live progress of the running attempt: not numbered, coalesced, newest wins. ``percent`` 0..100; it never falls
    within a ``bar``. ``bar`` and ``line`` as in Step.
    """

    type: Literal["phase_update"] = "phase_update"
    task_id: str
    phase: PhaseName
    attempt: int
    percent: float = 0.0
    done: float | None = None
    total: float | None = None
    message: str | None = None
    metrics: dict[str, Metric] = Field(default_factory=dict)
    eta_s: float | None = None
    bar: int = 0
    line: str | None = None


class PhaseLog(Message):
    """Log lines as they come; ``first_line`` is the number of ``lines[0]`` in the attempt, from 1. Before it there were
    ``dropped``, which nobody kept, and ``skipped``, which a slow connection was not sent and the store has.
    """

    type: Literal["phase_log"] = "phase_log"
    task_id: str
    phase: PhaseName
    attempt: int
    first_line: int
    dropped: int = 0
    skipped: int = 0
    lines: tuple[LogLine, ...] = ()
