"""The root of all errors: facts as fields, kept over pickle and the wire."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar


def fact_names(cls: type[PhasenbError]) -> list[str]:
    return [fact.name for fact in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else []


def _rebuild(cls: type[PhasenbError], facts: dict[str, Any]) -> PhasenbError:
    return cls(**facts)


class PhasenbError(Exception):
    """The root. Subclasses are dataclasses: their fields are the facts, ``code`` is the stable wire code."""

    code: ClassVar[str] = "internal"

    @property
    def details(self) -> dict[str, Any]:
        """The facts as a JSON object: ``details`` of an ``error`` message."""
        return {name: getattr(self, name) for name in fact_names(type(self))}

    def _render_traceback_(self) -> list[str]:
        """What IPython shows of it."""
        from phasenb.errors.tracebacks import shown  # late: only a notebook or an IPython shell asks

        return shown(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # BaseException pickles positional args only; ours are keyword facts.
        return _rebuild, (type(self), self.details)


def counted(number: int, noun: str) -> str:
    """``"1 failure"``, ``"3,000 failures"``."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"
