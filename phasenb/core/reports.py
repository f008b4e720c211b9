"""What crosses between a host and whoever runs an attempt: the attempt there, its reports back.

Apart from core.ports: a workflow and its contexts need these alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from phasenb.dto.phase import Checkpoint, Step

if TYPE_CHECKING:
    from phasenb.dto.launch import Runtime
    from phasenb.dto.phase import AttemptKind, LogLine
    from phasenb.dto.phase_result import ErrorInfo, ResultStatus
    from phasenb.dto.values import Artifact, Json


@dataclass(frozen=True, slots=True)
class Attempt:
    """All that a worker needs to run one attempt.

    ``agent`` is ``"module:attribute"`` of a registered agent, or None where ``code`` is given. ``values`` holds launch
    inputs and outputs of earlier phases, by name, encoded; only those that the function asks for are decoded.
    ``fallback``: run the agent's own fallback function of the phase (a registered fallback agent comes as ``agent``).
    ``kind`` compensation: run its compensation; an output of the phase that is not there is None.
    ``env`` is set, and ``secrets`` (name -> ``env:NAME`` or ``file:PATH``) are resolved, where the attempt runs.
    ``heartbeat_s``: how often the worker must show that the phase lives (Beat where nothing else is to be told).
    ``traceparent``: the span that spans of the phase's own code belong under (W3 Trace Context). ``session`` and
    ``notebook``: the task's, for what is launched in the phase.
    """

    task_id: str
    phase: str
    attempt: int
    owner: str
    agent: str | None
    code: Json
    values: dict[str, Json]
    objects_url: str
    phases: tuple[str, ...] = ()
    kind: AttemptKind = "phase"
    runtime: Runtime | None = None
    checkpoint: Checkpoint | None = None
    failure: ErrorInfo | None = None
    inline_bytes: int = 262_144
    log_bytes: int = 4_194_304
    fallback: bool = False
    feedback: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    heartbeat_s: float | None = None
    traceparent: str | None = None
    session: str = ""
    notebook: str | None = None


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Lines of an attempt in order; ``dropped`` lines came before ``lines`` and were not kept."""

    lines: tuple[LogLine, ...]
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Beat:
    """The phase called ``ctx.update`` or ``ctx.track`` went on, and there is nothing new to tell of it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The last report of every attempt. ``output`` encoded; ``error`` when failed, lost or cancelled."""

    status: ResultStatus
    output: Json = None
    output_type: str | None = None
    output_bytes: int | None = None
    error: ErrorInfo | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()


Report = Step | LogChunk | Checkpoint | Beat | Outcome
