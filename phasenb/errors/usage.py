"""A name or a value that a caller wrote wrongly. Each is also the error of Python that it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from phasenb.errors.base import PhasenbError
from phasenb.errors.tracebacks import shown


@dataclass(eq=False)
class WrongValue(PhasenbError, ValueError):
    """An argument with a value that it can't have; ``problem`` says which it can."""

    problem: str

    def __str__(self) -> str:
        return self.problem


@dataclass(eq=False)
class NoSuchName(PhasenbError, AttributeError):
    """An attribute that ``what`` does not have. ``instead``: what to write."""

    what: str
    attribute: str
    instead: str = ""

    def __str__(self) -> str:
        return f"{self.what} has no `{self.attribute}`" + (f": {self.instead}" if self.instead else "")


@dataclass(eq=False)
class NotThere(PhasenbError, KeyError):
    """A phase, an output or an artifact that a task does not have (yet); ``problem`` says which it has."""

    code: ClassVar[str] = "not_there"
    problem: str

    def __str__(self) -> str:
        return self.problem


class StoppedWaiting(KeyboardInterrupt):
    """A notebook's Stop while a task was waited for. A script gets the plain KeyboardInterrupt: how a process ends that
    is ended by Ctrl-C is Python's.
    """

    def _render_traceback_(self) -> list[str]:
        return shown(self)


@dataclass(eq=False)
class NotInTime(PhasenbError, TimeoutError):
    """A task that has not ended within the time that ``wait`` or ``result`` was given. It goes on. ``state``: in words;
    ``about``: what it waits for, or what failed.
    """

    task_id: str
    state: str
    timeout_s: float
    about: str | None = None

    def __str__(self) -> str:
        about = f" ({self.about})" if self.about else ""
        return f"task {self.task_id} is still {self.state} after {self.timeout_s:g} s{about}; it goes on"
