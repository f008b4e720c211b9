"""A phase of a task as everybody sees it, and the reports that an attempt makes while it runs."""

from __future__ import annotations

from difflib import get_close_matches
from enum import StrEnum
from math import nan
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from phasenb.dto.base import Frozen, PhaseName, Time
from phasenb.dto.values import Json
from phasenb.errors import WrongValue

DEFAULT_PHASES = ("research", "planning", "implementation")
AttemptKind = Literal["phase", "compensation"]
# JSON has no NaN: it is written as null, and a loss that became NaN must not make the result unreadable.
Metric = Annotated[
    float,
    BeforeValidator(lambda value: nan if value is None else value),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "null"}]}),
]


class PhaseStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    COMPLETE = "complete"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"


class Phase(Frozen):
    """One stage of a task: the newest attempt counts. ``percent`` 0..100; ``attempt`` 0 before the first;
    ``fallback`` is what runs in the place of the phase's own function, where something does. Attempts up to number
    ``set_aside`` count no longer: they came before a rollback over the phase, a denial or a manual retry.
    """

    name: PhaseName
    status: PhaseStatus = PhaseStatus.PENDING
    attempt: int = 0
    maximum_attempts: int | None = None
    percent: float = 0.0
    started_at: Time | None = None
    ended_at: Time | None = None
    output_preview: str | None = None
    fallback: str | None = None
    set_aside: int = 0


class Step(Frozen):
    """One report of progress. Give ``percent`` (0..100), or ``done`` and ``total``, or only a ``message``.

    ``metrics`` are numbers worth a column (``metric.*`` in the results frame); ``eta_s`` seconds to the phase's end.
    ``bar``: which of the progress bars of the phase's own code this is, counted from 1; 0: its own report. ``line``:
    what the phase has written that is no line yet, such as a bar that is being drawn.
    """

    if not TYPE_CHECKING:  # a checker sees the fields

        def __new__(cls, *args: Any, **said: Any) -> Step:
            """Raises WrongValue for what a phase writes wrongly: it would be lost. Parsing comes without arguments."""
            if cls is not Step:  # a person's own, with fields or arguments of its own
                return super().__new__(cls)
            if args:
                raise WrongValue('a Step takes its values by name: pn.Step(percent=50, message="half")')
            for name in said.keys() - cls.model_fields.keys():
                near = get_close_matches(name, cls.model_fields, n=1)
                hint = f"did you mean `{near[0]}`?" if near else "percent=50, or done=1 and total=2, is how far it is"
                raise WrongValue(f"a Step has no `{name}`: {hint}")
            return super().__new__(cls)

    percent: float | None = Field(default=None, ge=0, le=100)
    done: float | None = None
    total: float | None = None
    message: str | None = None
    metrics: dict[str, Metric] = Field(default_factory=dict)
    eta_s: float | None = None
    bar: int = 0
    line: str | None = None


class LogLine(Frozen):
    """One line of an attempt's output. ``stream``: stdout, stderr, log (ctx.log, logging, warnings)."""

    stream: Literal["stdout", "stderr", "log"]
    text: str
    at: Time


class Checkpoint(Frozen):
    """What ``ctx.checkpoint(value)`` kept; it comes back as ``ctx.last_checkpoint`` in the next attempt."""

    value: Json
