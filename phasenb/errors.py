"""Every error phasenb raises on purpose: one root, facts as fields, the sentence made by ``__str__``.

The tree (stable wire codes in brackets; protocol.md "Errors")::

    PhasenbError [internal]
    ├── ConfigError                       a configuration file, variable or trait is wrong
    ├── LaunchError [invalid_launch]      arguments, phases, options of a launch
    │   ├── UnpicklableCode               code that can't travel to a worker
    │   └── CapturedTooLarge              a function froze a large notebook variable
    ├── UnknownTask [unknown_task]
    ├── UnknownAgent [unknown_agent]
    ├── UnknownObject [unknown_object]
    ├── IllegalTransition [illegal_transition]
    ├── Conflict [conflict]               the log moved on, or a key is taken
    ├── QueueFull [queue_full]
    ├── CodeNotAllowed [code_not_allowed]
    ├── Forbidden [forbidden]             the server's authorizer says no to this user
    ├── RuntimeMismatch [runtime_mismatch]
    ├── StoreUnavailable [store_unavailable]
    ├── ValueNotStorable                  an output or artifact that no codec can keep
    ├── TaskFailed                        ``task.result()`` of a task that failed
    ├── TaskCancelled                     ``task.result()`` of a task that was cancelled
    ├── PhaseRaised                       what a phase raised, as text: the cause of TaskFailed
    ├── ServerUnreachable                 a server was found or named, and does not answer
    ├── AccessDenied                      the server refused the token or the user
    └── ProtocolError                     a frame that breaks protocol.md
        ├── BadMessage [bad_message]
        ├── UnknownType [unknown_type]
        ├── HelloRequired [hello_required]
        ├── UnsupportedProtocol [unsupported_protocol]
        ├── TooLarge [too_large]
        ├── RateLimited [rate_limited]
        └── ServerError                   a code this release does not know, or [internal]

Rule: an error's fields are facts that survive the wire (JSON); ``from_wire(code, message, details)`` builds
the same error on the client as the one that was raised on the server.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar


def _fact_names(cls: type[PhasenbError]) -> list[str]:
    return [fact.name for fact in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else []


def _rebuild(cls: type[PhasenbError], facts: dict[str, Any]) -> PhasenbError:
    return cls(**facts)


class PhasenbError(Exception):
    """The root. Subclasses are dataclasses: their fields are the facts, ``code`` is the stable wire code."""

    code: ClassVar[str] = "internal"

    @property
    def details(self) -> dict[str, Any]:
        """The facts as a JSON object: ``details`` of an ``error`` message."""
        return {name: getattr(self, name) for name in _fact_names(type(self))}

    def __reduce__(self) -> tuple[Any, ...]:
        # BaseException pickles positional args only; ours are keyword facts.
        return _rebuild, (type(self), self.details)


@dataclass(eq=False)
class ConfigError(PhasenbError):
    """A configuration value that can't be used: ``file`` (or variable or trait), ``line`` from 1, ``field`` path."""

    file: str
    field: str
    problem: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{where}: {self.field}: {self.problem}" if self.field else f"{where}: {self.problem}"


@dataclass(eq=False)
class LaunchError(PhasenbError):
    """A launch that can't work: a wrong argument, input, phase or option."""

    code: ClassVar[str] = "invalid_launch"
    problem: str
    function: str | None = None
    argument: str | None = None
    nearest: str | None = None

    def __str__(self) -> str:
        hint = f" Did you mean `{self.nearest}`?" if self.nearest else ""
        return f"{self.problem}{hint}"


@dataclass(eq=False)
class UnpicklableCode(LaunchError):
    """Code that cloudpickle can't carry to a worker; ``problem`` names the object and says to use a factory."""


@dataclass(eq=False)
class CapturedTooLarge(LaunchError):
    """A function uses a notebook variable over the capture limit; ``argument`` is the variable."""


@dataclass(eq=False)
class UnknownTask(PhasenbError):
    """No such task for this user. The same for a task of somebody else: it never tells the difference."""

    code: ClassVar[str] = "unknown_task"
    task_id: str

    def __str__(self) -> str:
        return f"there is no task {self.task_id} here"


@dataclass(eq=False)
class UnknownAgent(PhasenbError):
    code: ClassVar[str] = "unknown_agent"
    agent: str
    registered: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        known = ", ".join(self.registered) or "none"
        return f"no agent named {self.agent!r} is registered here (registered: {known})"


@dataclass(eq=False)
class UnknownObject(PhasenbError):
    """A value named by hash that the store does not hold for this owner; upload it first."""

    code: ClassVar[str] = "unknown_object"
    hash: str

    def __str__(self) -> str:
        return f"object {self.hash} is not in the store: upload it before the launch that names it"


@dataclass(eq=False)
class IllegalTransition(PhasenbError):
    """An event or command that the task's state does not allow. The task is unchanged.

    ``last_events``: the newest few events, ``"seq type"``, newest last.
    """

    code: ClassVar[str] = "illegal_transition"
    task_id: str
    state: str
    command: str
    reason: str = ""
    last_events: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        log = f"; last events: {', '.join(self.last_events)}" if self.last_events else ""
        return f"task {self.task_id} is {self.state or 'new'}: {self.command} is not possible{why}{log}"


@dataclass(eq=False)
class Conflict(PhasenbError):
    """The log moved on since it was read, or a key is already used with ``if_exists='error'``."""

    code: ClassVar[str] = "conflict"
    task_id: str
    problem: str

    def __str__(self) -> str:
        return f"task {self.task_id}: {self.problem}"


@dataclass(eq=False)
class QueueFull(PhasenbError):
    code: ClassVar[str] = "queue_full"
    limit: int

    def __str__(self) -> str:
        return f"the queue is full ({self.limit} tasks wait): try again when some have finished"


@dataclass(eq=False)
class CodeNotAllowed(PhasenbError):
    code: ClassVar[str] = "code_not_allowed"
    what: str

    def __str__(self) -> str:
        return f"this server does not run {self.what} from clients: use one of its registered agents"


@dataclass(eq=False)
class Forbidden(PhasenbError):
    """The server's authorizer does not let this user do it; ``action``: read, write or execute."""

    code: ClassVar[str] = "forbidden"
    action: str

    def __str__(self) -> str:
        return f"you are not allowed to {self.action} here: ask whoever runs this server"


@dataclass(eq=False)
class RuntimeMismatch(PhasenbError):
    """Code made by one minor Python version can't be run by another (bytecode differs)."""

    code: ClassVar[str] = "runtime_mismatch"
    launcher: str
    worker: str
    problem: str = ""

    def __str__(self) -> str:
        told = self.problem or "use the same minor version on both sides, or run the launcher on the server's machine"
        return f"the launch was made by {self.launcher}, the worker runs {self.worker}: {told}"


@dataclass(eq=False)
class StoreUnavailable(PhasenbError):
    code: ClassVar[str] = "store_unavailable"
    store: str
    problem: str

    def __str__(self) -> str:
        return f"the store {self.store} can't be used: {self.problem}"


@dataclass(eq=False)
class ValueNotStorable(PhasenbError):
    """A value that neither JSON, Parquet, npy nor pickle can keep; ``where`` names it."""

    code: ClassVar[str] = "invalid_launch"
    where: str
    type: str
    problem: str

    def __str__(self) -> str:
        return (
            f"{self.where} is a {self.type} that can't be stored ({self.problem}): "
            "return plain data, a DataFrame or an array, or save it with ctx.artifact as bytes"
        )


@dataclass(eq=False)
class PhaseRaised(PhasenbError):
    """What a phase raised in its worker, as text; the user's own lines are in ``traceback``."""

    type: str
    message: str
    traceback: str = ""

    def __str__(self) -> str:
        head = f"{self.type}: {self.message}" if self.message else self.type
        return f"{head}\n\n{self.traceback}" if self.traceback else head


@dataclass(eq=False)
class TaskFailed(PhasenbError):
    """Raised by ``task.result()``: the phase and attempt that failed; ``__cause__`` is a PhaseRaised.

    ``task`` is the TaskHandle (or the task_id where there is no handle).
    """

    task: Any
    phase: str | None
    attempt: int | None
    error_type: str
    error_message: str

    @property
    def details(self) -> dict[str, Any]:
        return {**super().details, "task": getattr(self.task, "task_id", self.task)}

    def __str__(self) -> str:
        name = getattr(self.task, "task_id", self.task)
        where = f" in {self.phase}, attempt {self.attempt}" if self.phase else ""
        return f"task {name} failed{where}: {self.error_type}: {self.error_message}"


@dataclass(eq=False)
class TaskCancelled(PhasenbError):
    """Raised by ``task.result()`` of a cancelled task."""

    task: Any

    @property
    def details(self) -> dict[str, Any]:
        return {"task": getattr(self.task, "task_id", self.task)}

    def __str__(self) -> str:
        return f"task {getattr(self.task, 'task_id', self.task)} was cancelled"


@dataclass(eq=False)
class ServerUnreachable(PhasenbError):
    """A server was found (or named) and does not answer; phasenb never falls back silently."""

    url: str
    problem: str

    def __str__(self) -> str:
        return (
            f"the server at {self.url} does not answer ({self.problem}): start it again, or unset PHASENB_URL "
            "and launch from a plain Python process to run here"
        )


@dataclass(eq=False)
class AccessDenied(PhasenbError):
    url: str
    status: int = 403

    def __str__(self) -> str:
        return f"the server at {self.url} refused access ({self.status}): check the token"


class ProtocolError(PhasenbError):
    """A frame that breaks protocol.md."""

    code: ClassVar[str] = "bad_message"


@dataclass(eq=False)
class BadMessage(ProtocolError):
    """Not JSON, not an object, or it fails validation; ``fields``: {path: problem}."""

    code: ClassVar[str] = "bad_message"
    problem: str
    fields: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        told = "; ".join(f"{path}: {problem}" for path, problem in self.fields.items())
        return f"{self.problem}: {told}" if told else self.problem


@dataclass(eq=False)
class UnknownType(ProtocolError):
    code: ClassVar[str] = "unknown_type"
    type: str
    known: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"there is no message type {self.type!r} (known: {', '.join(self.known)})"


@dataclass(eq=False)
class HelloRequired(ProtocolError):
    code: ClassVar[str] = "hello_required"
    type: str = ""

    def __str__(self) -> str:
        return "the first message must be `hello`"


@dataclass(eq=False)
class UnsupportedProtocol(ProtocolError):
    code: ClassVar[str] = "unsupported_protocol"
    asked: int
    supported: int

    def __str__(self) -> str:
        return f"protocol {self.asked} is not spoken here (this server speaks {self.supported})"


@dataclass(eq=False)
class TooLarge(ProtocolError):
    code: ClassVar[str] = "too_large"
    size: int
    limit: int

    def __str__(self) -> str:
        return f"the message has {self.size:,} bytes, the limit is {self.limit:,}: upload large values as objects"


@dataclass(eq=False)
class RateLimited(ProtocolError):
    code: ClassVar[str] = "rate_limited"
    retry_after_s: float

    def __str__(self) -> str:
        return f"too many commands: try again in {self.retry_after_s:.2g} s"


@dataclass(eq=False)
class ServerError(ProtocolError):
    """An error code that this release has no class for, or ``internal``; ``message`` is the server's sentence."""

    code: ClassVar[str] = "internal"
    server_code: str
    message: str
    info: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.message} [{self.server_code}]"


_WIRE: tuple[type[PhasenbError], ...] = (
    LaunchError, UnknownTask, UnknownAgent, UnknownObject, IllegalTransition, Conflict, QueueFull,
    CodeNotAllowed, Forbidden, RuntimeMismatch, StoreUnavailable, BadMessage, UnknownType, HelloRequired,
    UnsupportedProtocol, TooLarge, RateLimited,
)  # fmt: skip
BY_CODE: Mapping[str, type[PhasenbError]] = {cls.code: cls for cls in _WIRE}


def from_wire(code: str, message: str, details: Mapping[str, Any]) -> PhasenbError:
    """The error that an ``error`` message tells of; a ServerError where this release has no class for it."""
    cls = BY_CODE.get(code)
    if cls is not None:
        facts = {name: details[name] for name in _fact_names(cls) if name in details}
        try:
            return cls(**facts)
        except TypeError:  # a newer server's facts are not ours: keep its sentence
            pass
    return ServerError(server_code=code, message=message, info=dict(details))
