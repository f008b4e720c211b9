"""What goes wrong with tasks: their launch, their life, their store, the way to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from phasenb.errors.base import PhasenbError, counted


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
class AgentStopped(PhasenbError):
    """A phase whose agent can't come to its end by itself: it reached the bound of its steps or of its cost, or it asks
    a person. It is not retried, as it would stop there again.
    """

    problem: str

    def __str__(self) -> str:
        return self.problem


@dataclass(eq=False)
class AgentCrashed(PhasenbError):
    """A phase whose agent gave up, by its own account."""

    problem: str

    def __str__(self) -> str:
        return self.problem


@dataclass(eq=False)
class UnknownTask(PhasenbError):
    """No such task for this user. The same for a task of somebody else: it never tells the difference."""

    code: ClassVar[str] = "unknown_task"
    task_id: str

    def __str__(self) -> str:
        return f"there is no task {self.task_id!r} here: no id, no name and no end of an id is this"


@dataclass(eq=False)
class AmbiguousTask(PhasenbError):
    """A name, or the end of an id, that several tasks have: ``task_ids``, the newest first. ``about``: of each, what
    tells it from the others.
    """

    code: ClassVar[str] = "ambiguous_task"
    task: str
    task_ids: list[str] = field(default_factory=list)
    about: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        found = "; ".join(f"{task_id} ({about})" for task_id, about in zip(self.task_ids, self.about, strict=False))
        return f"{self.task!r} is more than one task, give the id of the one you mean: {found}"


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
    """A value named by hash that the store does not hold for this owner; or, by its name, an ``artifact`` that no
    attempt kept, which has no hash. ``damage``: it is there, but not whole.
    """

    code: ClassVar[str] = "unknown_object"
    hash: str | None
    artifact: str | None = None
    damage: str | None = None

    def __str__(self) -> str:
        if self.artifact is not None:
            return f"there is no artifact {self.artifact}"
        if self.damage is not None:
            return f"object {self.hash} of the store is damaged: {self.damage}"
        return f"object {self.hash} is not in the store: it was not uploaded first, or its file was removed"


@dataclass(eq=False)
class IllegalTransition(PhasenbError):
    """A command that the task's state does not allow (``command``: ``pause``, ...; an event's type, such as
    ``phase_started``, where no person asked for it). The task is unchanged.

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
        return f"task {self.task_id} is {self.state or 'new'}: {self.command} is not possible{why}"


@dataclass(eq=False)
class Conflict(PhasenbError):
    """The log moved on since it was read, or a key is already used with ``if_exists='error'``."""

    code: ClassVar[str] = "conflict"
    task_id: str
    problem: str

    def __str__(self) -> str:
        return f"task {self.task_id}: {self.problem}"


@dataclass(eq=False)
class LeaseLost(PhasenbError):
    """Another host took this one for dead and its task over: nothing that is written under the old lease counts."""

    host: str
    task_id: str | None = None

    def __str__(self) -> str:
        what = f"task {self.task_id}" if self.task_id else "its tasks"
        return f"host {self.host} was taken for dead, and {what} went to another host"


@dataclass(eq=False)
class QueueFull(PhasenbError):
    """As many tasks of one owner wait as may (``limits.queued_tasks``). ``retry_after_s``: the seconds until there may
    be room again, by how long tasks took of late; None: nothing is known of that.
    """

    code: ClassVar[str] = "queue_full"
    limit: int
    retry_after_s: float | None = None

    def __str__(self) -> str:
        when = "when some have run" if self.retry_after_s is None else f"in about {self.retry_after_s:,.0f} s"
        return f"your queue is full ({counted(self.limit, 'task')} waiting for a worker): try again {when}"


@dataclass(eq=False)
class LaunchesPaused(PhasenbError):
    """A threshold of error_recovery.yaml holds back new launches of a session. ``until``: RFC 3339, when it ends."""

    code: ClassVar[str] = "launches_paused"
    session: str
    errors: int
    window_s: float
    until: str

    def __str__(self) -> str:
        return (
            f"session {self.session}: {counted(self.errors, 'failure')} within {self.window_s:g} s, so new launches "
            f"wait until {self.until}: look at the failures, then `pn.resume_launches()`, or in a terminal "
            f"`phasenb resume-launches --session {self.session}`, to go on at once"
        )


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
class AuthenticationExpired(PhasenbError):
    """A command over a connection whose login has expired, or whose token was revoked, since it was opened."""

    code: ClassVar[str] = "authentication_expired"

    def __str__(self) -> str:
        return "your login has expired, or its token was revoked: sign in again, or connect with a token that is valid"


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
class SecretUnavailable(PhasenbError):
    """A secret that is not where the launch says it is. ``source``: ``env:NAME``, ``file:PATH`` or ``launcher``."""

    code: ClassVar[str] = "secret_unavailable"
    name: str
    source: str
    problem: str

    def __str__(self) -> str:
        return f"the secret `{self.name}` ({self.source}) can't be had: {self.problem}"


@dataclass(eq=False)
class WorkerLost(PhasenbError):
    """A worker that could not be started for now, or that died. Trying again may do."""

    code: ClassVar[str] = "worker_lost"
    worker: str
    problem: str

    def __str__(self) -> str:
        return f"the worker {self.worker} {self.problem}"


@dataclass(eq=False)
class OutOfMemory(WorkerLost):
    """A worker that the kernel killed as memory ran out, by the figures of core.memory_kills. Trying again with the
    same data ends alike.
    """


@dataclass(eq=False)
class HostFrozen(WorkerLost):
    """A worker that its guardian ended, since its host was frozen (a container that is paused, Ctrl-Z, a machine that
    sleeps), and goes on. It is no failure of the attempt. ``dto.phase_result.frozen`` says the same of a record.
    """


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
class PickleRefused(PhasenbError):
    """A value that only unpickling gives back, for a client that was told ``allow_pickle=False``."""

    type: str
    codec: str

    def __str__(self) -> str:
        return (
            f"the value is a {self.type}, kept by codec {self.codec!r}, and this client was told allow_pickle=False: "
            "loading it can run any code of whoever wrote it; if you trust them, connect without allow_pickle=False, "
            "else have the phase return plain data, a DataFrame or an array"
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
    """Raised by ``task.result()`` of a cancelled task: ``by`` whom; with ``phase`` and ``reason`` where it was denied
    at the gate before that phase. ``undone``: where a rollback was cut short, its failure and what stays undone.
    """

    task: Any
    by: str | None = None
    phase: str | None = None
    reason: str | None = None
    undone: str | None = None

    @property
    def details(self) -> dict[str, Any]:
        return {**super().details, "task": getattr(self.task, "task_id", self.task)}

    def __str__(self) -> str:
        told = f"task {getattr(self.task, 'task_id', self.task)} was "
        told += f"denied before {self.phase}" if self.phase else "cancelled"
        told += f" by {self.by}" if self.by else ""
        told += f": {self.reason}" if self.reason else ""
        return told + (f", in the middle of a rollback: {self.undone}" if self.undone else "")


@dataclass(eq=False)
class ApprovalNeeded(PhasenbError):
    """A task waits for a person, and whoever asked for its result would not."""

    task_id: str
    phase: str

    def __str__(self) -> str:
        return f"task {self.task_id} waits for approval before {self.phase}: task.approve() or task.deny(reason)"


@dataclass(eq=False)
class TaskPaused(PhasenbError):
    """A task is paused ``by`` someone, and whoever asked for its result would not wait. ``missing``: what is wrong with
    the secret that it is paused for.
    """

    task_id: str
    by: str | None = None
    missing: str | None = None

    def __str__(self) -> str:
        if self.missing is not None:
            why = f", as a secret is missing: {self.missing}; task.resume() tries again"
        else:
            why = f"{f' by {self.by}' if self.by else ''}: task.resume() goes on"
        return f"task {self.task_id} is paused{why}"


@dataclass(eq=False)
class ServerUnreachable(PhasenbError):
    """A server was found (or named) and does not answer; phasenb never falls back silently.

    ``remedy``: what to do, where it is something else than to start or to name one.
    """

    url: str
    problem: str
    remedy: str = ""

    def __str__(self) -> str:
        if self.remedy:
            return f"{self.problem} ({self.url}): {self.remedy}"
        return (
            f"the server at {self.url} does not answer ({self.problem}): start it, or name another "
            "(url=, PHASENB_URL); a plain Python process without either runs phases itself"
        )


@dataclass(eq=False)
class ProxyRefused(PhasenbError):
    """A proxy between here and the server answered ``status`` in its place."""

    url: str
    status: int
    problem: str

    def __str__(self) -> str:
        return f"a proxy between here and the server at {self.url} answered {self.status}: {self.problem}"


@dataclass(eq=False)
class NoServer(PhasenbError):
    """No server was named or found, and ``command`` needs one. ``instead``: what does without."""

    command: str
    instead: str = ""

    def __str__(self) -> str:
        other = f", or {self.instead}" if self.instead else ""
        return (
            f"`{self.command}` needs a server, and none was found here: start one with `phasenb serve` or JupyterLab, "
            f"name one with --url or PHASENB_URL{other}"
        )


@dataclass(eq=False)
class AccessDenied(PhasenbError):
    """The server refused the token or the user; or it leads to ``redirect``, where the token is not for. ``user``: as
    whom it knows the caller, where the token is right and the permission is missing.
    """

    url: str
    status: int = 403
    redirect: str | None = None
    user: str | None = None

    def __str__(self) -> str:
        if self.user is not None:
            return (
                f"the server at {self.url} knows you ({self.user}), but does not let you use phasenb ({self.status}): "
                "its administrator permits `read` on the resource `phasenb`, `write` to steer, `execute` to launch"
            )
        if self.redirect is not None:
            return (
                f"the server at {self.url} leads elsewhere, to {self.redirect} ({self.status}), and your token is not "
                "sent there: give that server's own address (or its token) if it is the one you mean"
            )
        return f"the server at {self.url} refused access ({self.status}): check the token"
