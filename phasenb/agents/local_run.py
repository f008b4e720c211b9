"""Running an agent here: in this thread, blocking, without a store, a worker or pickling.

Inputs and outputs are passed on as they are, exceptions come out as they are, artifacts and checkpoints stay in memory
and are gone with the run. Progress and log lines are shown on stderr, as tqdm does.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from hashlib import sha256
from time import monotonic
from typing import Any, TextIO

from phasenb.core.context import Context
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.core.launch_check import check_launch
from phasenb.core.reports import LogChunk, Report
from phasenb.core.steps import preview
from phasenb.dto.phase import Step
from phasenb.dto.phase_result import ErrorInfo
from phasenb.dto.task_state import TaskFailure
from phasenb.dto.values import Artifact


class LocalContext(Context):
    """A Context that shows what it is told on ``stream``. ``artifacts``: what the phase kept, by name, as it is."""

    def __init__(
        self,
        phase: str = "",
        *,
        stream: TextIO | None = None,
        failure: ErrorInfo | None = None,
        attempt: int = 1,
    ) -> None:
        self.artifacts: dict[str, Any] = {}
        self._stream = stream or sys.stderr
        # A terminal and a notebook's output fold carriage returns; a file or a test's capture does not.
        self._live = self._stream.isatty() or type(self._stream).__module__.startswith("ipykernel.")
        self._shown = 0
        super().__init__(
            self._show,
            phase=phase,
            failure=failure,
            attempt=attempt,
            interval_s=0.1,
            store_artifact=self._keep,
            store_checkpoint=lambda value: None,
        )

    def end(self, told: str) -> None:
        """Close the phase's line with ``told``."""
        self._write(f"{self.phase}: {told}\n")

    def _keep(self, name: str, value: Any, codec: str | None) -> Artifact:
        self.artifacts[name] = value
        place = sha256(f"{self.phase}/{name}".encode()).hexdigest()  # a name only: nothing is stored under it
        kind = type(value)
        return Artifact(
            name=name,
            hash=f"sha256:{place}",
            codec=codec or "memory",
            type=f"{kind.__module__}.{kind.__qualname__}",
            preview=preview(value),
        )

    def _show(self, report: Report) -> None:
        if isinstance(report, LogChunk):
            for line in report.lines:
                self._write(f"{line.text}\n")
        elif isinstance(report, Step) and self._live:
            percent = "" if report.percent is None else f" {report.percent:3.0f}%"
            self._write(f"{self.phase}:{percent} {report.message or ''}"[:100])

    def _write(self, text: str) -> None:
        cleared = f"\r{' ' * self._shown}\r" if self._shown else ""
        self._stream.write(cleared + text)
        self._stream.flush()
        self._shown = 0 if text.endswith("\n") else len(text)


def run_here(agent: ExtendedAgent, inputs: Mapping[str, Any]) -> Any:
    """All phases of ``agent``, one after the other; the last one's raw output.

    Raises LaunchError for inputs that don't fit, and whatever a phase raises.
    """
    spec = agent.spec()
    check_launch(spec, inputs)
    values: dict[str, Any] = dict(inputs)
    output: Any = None
    for phase in spec.phases:
        output = values[phase] = run_phase_here(agent, phase, values)
    return output


def run_phase_here(
    agent: ExtendedAgent, phase: str, values: Mapping[str, Any], *, failure: TaskFailure | None = None
) -> Any:
    """One phase of ``agent``, with ``values`` by name; ``failure``: the attempt that ``ctx`` is to tell of.

    Raises LaunchError for a phase that it does not have, and whatever the phase raises.
    """
    own = failure if failure is not None and failure.phase == phase else None
    ctx = LocalContext(phase, failure=own.error if own else None, attempt=(own and own.attempt) or 1)
    began = monotonic()
    told = "failed"
    try:
        output = agent.run_phase(phase, ctx, values)
        told = "complete"
    finally:
        ctx.flush()
        ctx.end(f"{told} in {monotonic() - began:.1f} s")
    return output
