"""The shape of every header between a host and its worker (executors.worker_messages says what they mean).

Rules: a test holds these shapes to PROTOCOL by a committed table, so that none changes without the number, and real
headers to these shapes. ``hello`` keeps its fields for ever. What is not required may be missing.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict  # pydantic reads no other one before Python 3.12

from phasenb.dto.phase import AttemptKind, Step
from phasenb.dto.phase_result import ErrorInfo, ResultStatus
from phasenb.dto.values import Artifact

# --- host to worker ----------------------------------------------------------------------------------------------


class Bind(TypedDict):
    """Payload: the launcher's variables, or nothing."""

    type: Literal["bind"]
    cwd: str
    sys_path: list[str]


class KeptValue(TypedDict):
    value: Any


class Parent(TypedDict):
    """What is launched in the phase belongs to its task: where, in the host's words."""

    session: str
    notebook: str | None
    url: str


class Run(TypedDict):
    """Payload: the code, the first time in a lease."""

    type: Literal["run"]
    run: int
    code: int | None
    task_id: str
    phase: str
    attempt: int
    owner: str
    agent: str | None
    values: dict[str, Any]
    objects_url: str
    phases: list[str]
    kind: AttemptKind
    inline_bytes: int
    log_bytes: int
    fallback: bool
    feedback: str | None
    heartbeat_s: float | None
    env: dict[str, str]
    secrets: dict[str, str]
    found: dict[str, str]
    checkpoint: NotRequired[KeptValue]
    failure: NotRequired[ErrorInfo]
    traceparent: NotRequired[str]
    parent: NotRequired[Parent]


class Cancel(TypedDict):
    type: Literal["cancel"]
    run: int
    courtesy_s: float


class Describe(TypedDict):
    """Payload: the code."""

    type: Literal["describe"]
    agent: str | None
    objects_url: str
    code: int | None
    env: dict[str, str]
    secrets: dict[str, str]
    found: dict[str, str]


class Release(TypedDict):
    type: Literal["release"]


class Exit(TypedDict):
    type: Literal["exit"]


# --- both ways, where a run has a parent -------------------------------------------------------------------------


class Nested(TypedDict):
    """core.parent's messages; payload: a frame of the clients' protocol, or an answer."""

    type: Literal["nested"]
    run: int
    kind: Literal["open", "frame", "close", "call", "wait", "go_on", "lost", "answer", "refused"]
    link: NotRequired[int]
    task_id: NotRequired[str]
    name: NotRequired[str]
    arguments: NotRequired[dict[str, Any]]
    reason: NotRequired[str]
    code: NotRequired[str]
    message: NotRequired[str]
    details: NotRequired[dict[str, Any]]


# --- worker to host ----------------------------------------------------------------------------------------------


class Hello(TypedDict):
    type: Literal["hello"]
    protocol: int
    python: str
    pid: int


class Ready(TypedDict):
    type: Literal["ready"]
    site: list[str]


class Progress(TypedDict):
    type: Literal["step"]
    run: int
    step: Step


class Log(TypedDict):
    """A line is (stream, text, at)."""

    type: Literal["log"]
    run: int
    lines: list[tuple[str, str, str]]
    dropped: int


class KeptCheckpoint(TypedDict):
    type: Literal["checkpoint"]
    run: int
    value: Any


class LifeSign(TypedDict):
    type: Literal["beat"]
    run: int


class Ended(TypedDict):
    """``left``: what is there of the task and can't be put back, in words; none where the worker is clean."""

    type: Literal["outcome"]
    run: int
    status: ResultStatus
    output: Any
    output_type: str | None
    output_bytes: int | None
    error: ErrorInfo | None
    metrics: dict[str, float]
    artifacts: list[Artifact]
    left: list[str]


class Described(TypedDict):
    type: Literal["described"]
    spec: dict[str, Any]
    left: list[str]


class Refused(TypedDict):
    type: Literal["refused"]
    code: str
    message: str
    details: dict[str, Any]
    left: list[str]


HEADERS: tuple[Any, ...] = (
    Bind, Run, Cancel, Describe, Release, Exit, Nested,
    Hello, Ready, Progress, Log, KeptCheckpoint, LifeSign, Ended, Described, Refused,
)  # fmt: skip
