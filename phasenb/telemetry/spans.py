"""Spans of tasks for OpenTelemetry: one of the task, one of each phase, one of each attempt.

Rules: only the API is used, so what is done with spans is the process's own configuration (``OTEL_*``, an SDK); a span
has the times of the log's events, not those of hearing of them. A task belongs under its launcher's ``traceparent``, if
there was one; every span of it has the attribute ``phasenb.task_id``. A host that takes a task over begins spans anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from phasenb.dto import events as ev
from phasenb.dto.launch import Launch
from phasenb.dto.phase_result import ErrorInfo
from phasenb.dto.task_state import TaskState

_WIRE = TraceContextTextMapPropagator()


@dataclass
class _Open:
    """The open spans of one task."""

    task: Span
    phase: Span | None = None
    attempt: Span | None = None


class Spans:
    """ports.Observer. ``tracer`` None: the one of the process's provider."""

    def __init__(self, tracer: Tracer | None = None) -> None:
        self._tracer = tracer or trace.get_tracer("phasenb")
        self._open: dict[str, _Open] = {}

    # --- ports.Observer --------------------------------------------------------------------------------------------

    def began(self, task: TaskState, launch: Launch) -> None:
        """See ports.Observer."""
        attributes = {"phasenb.task_id": task.task_id, "phasenb.session": task.session, "phasenb.agent": task.agent}
        parent = _WIRE.extract({"traceparent": launch.traceparent} if launch.traceparent else {}, context=Context())
        # Taken up later, it is a span of this host's part of the work alone.
        started = _ns(task.created_at) if task.started_at in (None, task.created_at) else None
        span = self._tracer.start_span(f"task {task.name}", parent, attributes=attributes, start_time=started)
        self._open[task.task_id] = _Open(span)

    def events(self, owner: str, task: TaskState, events: Sequence[ev.Event]) -> None:
        """See ports.Observer."""
        spans = self._open.get(task.task_id)
        if spans is None:
            return
        for event in events:
            if isinstance(event, ev.PhaseStarted):
                self._started(spans, event)
            elif isinstance(event, ev.PhaseComplete):
                self._attempt_ended(spans, event.at, None)
                self._phase_ended(spans, event.at, None)
            elif isinstance(event, ev.PhaseFailed):
                self._attempt_ended(spans, event.at, event.error)
                if event.next != "retry":
                    self._phase_ended(spans, event.at, event.error)
            elif isinstance(event, ev.TaskError):
                self._end(task.task_id, event.at, event.error)
            elif isinstance(event, ev.TaskCancelled | ev.TaskComplete):
                self._end(task.task_id, event.at, None, cancelled=event.type == "task_cancelled")
            else:
                spans.task.add_event(event.type, timestamp=_ns(event.at))

    def gone(self, task_id: str) -> None:
        """See ports.Observer."""
        spans = self._open.get(task_id)
        if spans is not None:
            spans.task.set_attribute("phasenb.let_go", True)  # another host goes on with it, in spans of its own
            self._end(task_id, None, None)

    def traceparent(self, task_id: str) -> str | None:
        """See ports.Observer."""
        spans = self._open.get(task_id)
        if spans is None or spans.attempt is None:
            return None
        carrier: dict[str, str] = {}
        _WIRE.inject(carrier, trace.set_span_in_context(spans.attempt))
        return carrier.get("traceparent")

    # --- spans -----------------------------------------------------------------------------------------------------

    def _started(self, spans: _Open, event: ev.PhaseStarted) -> None:
        at = _ns(event.at)
        undoes = event.kind == "compensation"
        if spans.phase is None:
            name = f"undo {event.phase}" if undoes else f"phase {event.phase}"
            spans.phase = self._child(
                spans.task, name, at, {"phasenb.task_id": event.task_id, "phasenb.phase": event.phase}
            )
        attributes: dict[str, str | int] = {
            "phasenb.task_id": event.task_id,
            "phasenb.phase": event.phase,
            "phasenb.attempt": event.attempt,
            "phasenb.kind": event.kind,
        }
        if event.worker is not None:
            attributes["phasenb.worker"] = event.worker
        spans.attempt = self._child(spans.phase, f"attempt {event.attempt}", at, attributes)

    def _child(self, parent: Span, name: str, at: int, attributes: dict[str, Any]) -> Span:
        context = trace.set_span_in_context(parent, Context())
        return self._tracer.start_span(name, context, attributes=attributes, start_time=at)

    def _attempt_ended(self, spans: _Open, at: datetime | None, error: ErrorInfo | None) -> None:
        attempt, spans.attempt = spans.attempt, None
        _finish(attempt, at, error)

    def _phase_ended(self, spans: _Open, at: datetime | None, error: ErrorInfo | None) -> None:
        phase, spans.phase = spans.phase, None
        _finish(phase, at, error)

    def _end(self, task_id: str, at: datetime | None, error: ErrorInfo | None, *, cancelled: bool = False) -> None:
        spans = self._open.pop(task_id)
        if cancelled:
            spans.task.set_attribute("phasenb.cancelled", True)
        self._attempt_ended(spans, at, error)
        self._phase_ended(spans, at, error)
        _finish(spans.task, at, error)


def _finish(span: Span | None, at: datetime | None, error: ErrorInfo | None) -> None:
    if span is None:
        return
    if error is not None:
        span.set_attribute("error.type", error.type)
        # Not the message: it is a person's own, and a trace goes where their data need not.
        span.set_status(Status(StatusCode.ERROR, error.type))
    span.end(None if at is None else _ns(at))


def _ns(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1000
