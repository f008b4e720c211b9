"""Metrics of one host for Prometheus: attempts, failures, waiting, and what the wire carries.

Rules: counted once, by the host that carries the task; what is a number already (a queue's length, connections) is
read when it is asked for, so counting costs nothing between two scrapes. Label values are words of ours, never a name
of a client's: their number is bounded, and nobody reads there what others work on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import Counter, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from phasenb import errors
from phasenb.core.history import seconds_between
from phasenb.dto.events import Event, PhaseComplete, PhaseFailed, TaskRecovered
from phasenb.dto.launch import Launch
from phasenb.dto.task_state import TaskState

Numbers = Callable[[], Mapping[str, float]]
# From a no-op to a night: attempts are as long as people's work.
_BUCKETS = (0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600)
_OURS = frozenset(f"phasenb.{name}" for name in errors.__all__)
_ENDS = {"task_complete": "completed", "task_error": "failed", "task_cancelled": "cancelled"}

GAUGES = {
    "tasks": "Tasks that this host carries, waiting ones included",
    "queue_length": "Tasks that wait for a place in an executor",
    "waiting_tasks": "Tasks that wait for a person: paused, or at an approval gate",
    "connections": "Clients that said hello",
}
COUNTERS = {
    "messages_received": "Frames that clients sent",
    "messages_sent": "Frames given to clients' connections",
    "updates_coalesced": "Progress messages that a newer one replaced before they were sent",
    "log_lines_dropped": "Log lines that a bound kept from clients",
    "slow_clients_closed": "Connections closed with 4008",
}


class Metrics:
    """ports.Observer, and a collector for a prometheus_client registry.

    ``numbers()`` gives the values of GAUGES and COUNTERS by name; a name that it leaves out is not shown.
    """

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self._durations = Histogram(
            "phasenb_attempt_duration_seconds",
            "How long attempts at a phase took",
            ("status",),
            registry=None,
            buckets=_BUCKETS,
        )
        self._attempts = Counter("phasenb_attempts", "Attempts that ended", ("status",), registry=None)
        self._failures = Counter("phasenb_failures", "Failed attempts", ("type",), registry=None)
        self._ended = Counter("phasenb_tasks_ended", "Tasks that ended", ("state",), registry=None)

    # --- ports.Observer --------------------------------------------------------------------------------------------

    def began(self, task: TaskState, launch: Launch) -> None:
        """See ports.Observer."""

    def events(self, owner: str, task: TaskState, events: Sequence[Event]) -> None:
        """See ports.Observer."""
        for event in events:
            if isinstance(event, PhaseComplete):
                self._attempt("complete", event.result.duration_s)
            elif isinstance(event, PhaseFailed) and not event.given_up:
                started = task.phase_named(event.phase).started_at or event.at
                self._attempt("failed", seconds_between(started, event.at))
                self._failures.labels(_kind(event.error.type)).inc()
            elif isinstance(event, TaskRecovered) and event.lost_attempt is not None:
                self._attempt("lost", None)
            elif event.type in _ENDS:
                self._ended.labels(_ENDS[event.type]).inc()

    def gone(self, task_id: str) -> None:
        """See ports.Observer."""

    def traceparent(self, task_id: str) -> str | None:
        """See ports.Observer: nothing is traced here."""
        return None

    # --- prometheus_client.registry.Collector ----------------------------------------------------------------------

    def collect(self) -> Iterator[Metric]:
        for family in (self._durations, self._attempts, self._failures, self._ended):
            yield from family.collect()
        for name, value in self._numbers().items():
            if name in GAUGES:
                yield GaugeMetricFamily(f"phasenb_{name}", GAUGES[name], value)
            else:
                yield CounterMetricFamily(f"phasenb_{name}", COUNTERS[name], value)

    def _attempt(self, status: str, duration_s: float | None) -> None:
        self._attempts.labels(status).inc()
        if duration_s is not None:
            self._durations.labels(status).observe(duration_s)


def _kind(error_type: str) -> str:
    """An error's class where it is ours; all of people's own code are one."""
    return error_type if error_type in _OURS else "exception"
