"""What host and worker say to each other, as headers of frames; two releases of phasenb may meet here.

Host to worker: ``bind`` (a launcher's directory and path, its variables as payload; again where these differ), ``run``,
``cancel``, ``describe``, ``release``, ``exit``.
Worker to host: ``hello``, ``ready``, ``step``, ``log``, ``checkpoint``, ``beat``, ``outcome``, ``described``,
``refused``.

Both ways, where a ``run`` has a ``parent``: ``nested``, what clients inside the phase and the host say to each other
(core.parent).

Rules: ``hello`` is the first message and keeps its fields for ever, so that any two releases can tell each other apart;
every other change that an older side can't ignore counts PROTOCOL up. ``found`` has the variables that secrets name, as
they are in the host's environment now; nobody stores or logs it. What a worker says is validated: code of a person's
runs there. An attempt's code travels once in a lease, as the payload of its first ``run``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from phasenb.core.parent import KINDS, Message
from phasenb.core.reports import Attempt, Beat, LogChunk, Outcome, Report
from phasenb.dto.phase import Checkpoint, LogLine, Step
from phasenb.dto.phase_result import ErrorInfo, ResultStatus
from phasenb.dto.values import Artifact, Json, as_reference
from phasenb.executors.frames import BadFrame, Header

PROTOCOL = 2

_PLAIN = (
    "task_id", "phase", "attempt", "owner", "agent", "values", "objects_url", "kind", "inline_bytes", "log_bytes",
    "fallback", "feedback", "heartbeat_s", "env", "secrets",
)  # fmt: skip


def run_message(run: int, attempt: Attempt, code: int | None, found: Mapping[str, str]) -> Header:
    """``run`` numbers the attempts of a worker; ``code`` the codes of a lease."""
    header: Header = {name: getattr(attempt, name) for name in _PLAIN}
    header.update(type="run", run=run, code=code, phases=attempt.phases, found=found)
    if attempt.checkpoint is not None:
        header["checkpoint"] = {"value": attempt.checkpoint.value}
    if attempt.failure is not None:
        header["failure"] = attempt.failure.model_dump(mode="json")
    if attempt.traceparent is not None:
        header["traceparent"] = attempt.traceparent
    return header


def nested_message(message: Message, run: int) -> Header:
    return {**message, "type": "nested", "run": run}


def nested_of(header: Header) -> Message:
    """What a client inside a phase says. Raises BadFrame."""
    kind = header.get("kind")
    wanted: dict[str, type] = {"task_id": str} if kind in ("wait", "go_on") else {"link": int}
    if kind == "call":
        wanted |= {"name": str, "arguments": dict}
    if kind not in KINDS or not all(isinstance(header.get(name), of) for name, of in wanted.items()):
        raise BadFrame("a nested message that is none")
    return header


def attempt_of(header: Header, code: Json) -> Attempt:
    checkpoint, failure = header.get("checkpoint"), header.get("failure")
    return Attempt(
        **{name: header[name] for name in _PLAIN},
        code=code,
        phases=tuple(header["phases"]),
        checkpoint=None if checkpoint is None else Checkpoint(value=checkpoint["value"]),
        failure=None if failure is None else ErrorInfo.model_validate(failure),
        traceparent=header.get("traceparent"),
    )


def report_message(report: Report, run: int) -> Header:
    if isinstance(report, Step):
        return {"type": "step", "run": run, "step": report.model_dump(exclude_none=True)}
    if isinstance(report, LogChunk):
        lines = [(line.stream, line.text, line.at) for line in report.lines]
        return {"type": "log", "run": run, "lines": lines, "dropped": report.dropped}
    if isinstance(report, Checkpoint):
        return {"type": "checkpoint", "run": run, "value": report.value}
    if isinstance(report, Beat):
        return {"type": "beat", "run": run}
    return {
        "type": "outcome",
        "run": run,
        "status": report.status,
        "output": report.output,
        "output_type": report.output_type,
        "output_bytes": report.output_bytes,
        "error": None if report.error is None else report.error.model_dump(mode="json"),
        "metrics": report.metrics,
        "artifacts": [artifact.as_json() for artifact in report.artifacts],
    }


def report_of(header: Header) -> Report:
    """The report in a header. Raises BadFrame for one that is none."""
    read = _READERS.get(header["type"])
    if read is None:
        raise BadFrame(f"an unknown message {header['type']!r}")
    try:
        return read(header)
    except (ValidationError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadFrame(f"a {header['type']} that is none: {error}") from None


def _step(header: Header) -> Report:
    return Step.model_validate(header["step"])


def _log(header: Header) -> Report:
    lines = tuple(LogLine(stream=stream, text=text, at=at) for stream, text, at in header["lines"])
    return LogChunk(lines, int(header["dropped"]))


def _checkpoint(header: Header) -> Report:
    return Checkpoint(value=_value(header["value"]))


def _outcome(header: Header) -> Report:
    error: Any = header["error"]
    status = ResultStatus(header["status"])
    if status is ResultStatus.LOST:
        raise ValueError("an outcome that only a host can tell")
    return Outcome(
        status=status,
        output=_value(header["output"]),
        output_type=header["output_type"],
        output_bytes=header["output_bytes"],
        error=None if error is None else ErrorInfo.model_validate(error),
        metrics={str(name): float(value) for name, value in header["metrics"].items()},
        artifacts=tuple(Artifact.model_validate(artifact) for artifact in header["artifacts"]),
    )


def _value(value: Json) -> Json:
    as_reference(value)  # raises where it looks like a reference and is none
    return value


def _beat(header: Header) -> Report:
    return Beat()


_READERS = {"step": _step, "log": _log, "checkpoint": _checkpoint, "beat": _beat, "outcome": _outcome}
