"""PhaseResult: the outcome of one attempt, and a failure as data."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from phasenb.dto.base import Frozen, PhaseName, Time
from phasenb.dto.phase import AttemptKind, Metric
from phasenb.dto.values import Artifact, Json


class ResultStatus(StrEnum):
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"


FAILURES = (ResultStatus.FAILED, ResultStatus.LOST)  # what a policy decides about, and thresholds count


class ErrorInfo(Frozen):
    """A failure as data. ``type`` is the qualified class name (``builtins.ValueError`` is ``ValueError``).

    ``bases`` are the qualified names of its classes, most derived first: rules match subclasses without unpickling.
    ``retry_after_s`` is the exception's own ``retry_after``, where it had one, or that of the response it carries;
    ``http_status`` the status of that response.
    """

    type: str
    message: str = ""
    traceback: str = ""
    retryable: bool = True
    bases: tuple[str, ...] = ()
    retry_after_s: float | None = None
    http_status: int | None = None

    @property
    def missing_secret(self) -> bool:
        """Whether a person is to mend it: the task waits for them, and no policy or threshold counts it. A phase's own
        code may raise that as well: it waits for a person then, too.
        """
        return self.type == "phasenb.SecretUnavailable"


def frozen(status: ResultStatus, error: ErrorInfo | None) -> bool:
    """Whether an attempt's host was frozen, and its guardian ended it. The text of an error is not enough: a phase can
    raise an error of any name, but only its host says that an attempt was lost.
    """
    return status is ResultStatus.LOST and error is not None and error.type == "phasenb.HostFrozen"


class PhaseResult(Frozen):
    """The outcome of one attempt. ``output``: inline JSON or an object reference (dto.values). ``revision``: counted
    from 1, one more for each time that a person edited the output. ``code``: which code ran (dto.launch.code_id).
    """

    phase: PhaseName
    attempt: int
    kind: AttemptKind = "phase"
    revision: int = 1
    status: ResultStatus
    started_at: Time
    ended_at: Time
    duration_s: float
    output: Json = None
    output_type: str | None = None
    output_bytes: int | None = None
    error: ErrorInfo | None = None
    worker: str | None = None
    metrics: dict[str, Metric] = Field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()
    fallback: str | None = None
    code: str | None = None

    @property
    def counts_as_failure(self) -> bool:
        """Whether thresholds count it."""
        return is_failure(self.status, self.error)


def is_failure(status: ResultStatus, error: ErrorInfo | None) -> bool:
    """Whether an attempt that ended so failed by itself: policies decide about it, and thresholds count it."""
    if error is not None and (error.missing_secret or frozen(status, error)):
        return False
    return status in FAILURES
