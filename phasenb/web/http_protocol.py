"""The HTTP paths as types: their queries and answers, and the table of them (protocol.md, "HTTP, beside the socket").

Rules: every answer is a JSON object, lists stand under a name, and ``next`` is where the next page goes on, or null. A
query with a name it does not know is refused. Bodies are those of the socket's commands, without what the path says.
The server's handlers, the OpenAPI document and the tests all go by ``OPERATIONS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from phasenb.dto.base import Frozen, PhaseName, SessionName, Time
from phasenb.dto.events import Event
from phasenb.dto.phase_result import PhaseResult
from phasenb.dto.task_state import State, TaskState
from phasenb.web import message_protocol as protocol

MAXIMUM_TASKS = 1000
PAGE_EVENTS = 1000
PAGE_LINES = 5000
HTTP_SESSION = "http"
JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"
BYTES = "application/octet-stream"
LINES = "application/x-ndjson"
CONTENT_TYPES = {
    "json": JSON,
    "png": "image/png",
    "text": "text/plain; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
"""What an artifact of a codec is sent as; of any other codec as ``BYTES``."""

Position = Annotated[int, Field(ge=0, le=2**53 - 1)]  # as far as every JSON reader counts
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


# --- queries -----------------------------------------------------------------------------------------------------


class Query(Frozen):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HealthQuery(Query):
    """``machine``: the asking process's own, as a launch's ``runtime.host``."""

    machine: str | None = Field(default=None, max_length=64)


class TasksQuery(Query):
    """``session``: only that session's; by default all of the user's. ``before``: a task_id, exclusive."""

    session: SessionName | None = None
    state: State | None = None
    limit: int = Field(default=100, ge=1, le=MAXIMUM_TASKS)
    before: str | None = Field(default=None, max_length=64)


class EventsQuery(Query):
    after_seq: Position = 0
    limit: int = Field(default=PAGE_EVENTS, ge=1, le=PAGE_EVENTS)


class LogsQuery(Query):
    """``after``: the cursor of the last line that was seen. ``last``: instead, the newest lines, so many of them."""

    after: Position = 0
    limit: int = Field(default=PAGE_LINES, ge=1, le=PAGE_LINES)
    last: int | None = Field(default=None, ge=1, le=PAGE_LINES)


class ResultsQuery(Query):
    """``session``: only that session's; by default all of the user's."""

    session: SessionName | None = None


# --- bodies and answers ------------------------------------------------------------------------------------------


class LaunchBody(protocol.LaunchRequest):
    """A launch in a session of the user's; see the socket's ``launch``."""

    session: SessionName = HTTP_SESSION


class SourceQuery(Query):
    """``attempt``: None is the newest."""

    attempt: int | None = Field(default=None, ge=1)


class PhaseSource(Frozen):
    """The text of a phase's function. ``attempt`` None: the phase has not been run. ``text`` None: it is not kept, as
    of a registered agent, or of a function whose text Python could not tell. ``code``: which code it is of.
    """

    phase: str
    attempt: int | None
    code: str | None
    text: str | None


class LaunchesBody(Frozen):
    """Whose launches are meant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    session: SessionName


class LaunchingSession(Frozen):
    """The session that launches again."""

    session: SessionName


class TaskPage(Frozen):
    """Newest first; ``next`` is the ``before`` of the next page."""

    tasks: tuple[TaskState, ...]
    next: str | None


class EventPage(Frozen):
    """In order; ``next`` is the ``after_seq`` of the next page."""

    events: tuple[Annotated[Event, Field(discriminator="type")], ...]
    next: int | None


class StoredLine(Frozen):
    """A line of an attempt's output; ``line`` counts in the attempt, ``cursor`` is its place in the log."""

    cursor: int
    phase: PhaseName
    attempt: int
    line: int
    stream: Literal["stdout", "stderr", "log"]
    at: Time
    text: str


class LinePage(Frozen):
    """In order; ``next`` is the ``after`` of the next page, null where there are no more lines for now."""

    lines: tuple[StoredLine, ...]
    next: int | None


class TaskResult(PhaseResult):
    task_id: str


class ResultList(Frozen):
    """Every attempt that ended, oldest first."""

    results: tuple[TaskResult, ...]


class RegisteredAgent(Frozen):
    name: str


class AgentList(Frozen):
    """What a launch may name."""

    agents: tuple[RegisteredAgent, ...]


class AgentDescription(Frozen):
    """``inputs``: the JSON schema of what a launch takes, an object; one without types where annotations tell none."""

    name: str
    phases: tuple[PhaseName, ...]
    inputs: dict[str, Any]


class StorePlace(Frozen):
    """A store as a process of its machine opens it: the path of its file, and where its objects are."""

    url: str
    artifacts: str


class Health(Frozen):
    """``tasks``: how many of the caller's this host carries. ``problem``: why its store can't be written to, as it
    found at its newest beat (four in ``lease_s``). ``store``: told to who may run code here, and asks as ``machine``,
    which must be the server's own. ``anywidget``: whether the pages of this server can draw an anywidget.
    """

    status: Literal["ok", "store_unavailable"] = "ok"
    problem: str | None = None
    version: str
    protocol: int = protocol.PROTOCOL
    epoch: str
    host: str
    tasks: int
    store: StorePlace | None = None
    anywidget: bool = False


class LaunchedTask(Frozen):
    """``duplicate``: the launch was known already, by its key or idempotency key, and this is its task."""

    task_id: str
    seq: int
    duplicate: bool


class OpenedConnection(Frozen):
    """``connection`` is known to its client alone; ``wait_s``: how long an answer without frames takes at most."""

    connection: str
    wait_s: float


class KeptObject(Frozen):
    """``hash`` is ``sha256:`` + hex, ``bytes`` the size."""

    hash: str
    bytes: int


class Problem(Frozen):
    """Any error: ``code`` is stable, ``message`` a sentence, ``details`` its facts."""

    code: str
    message: str
    details: dict[str, Any]


# --- the paths ---------------------------------------------------------------------------------------------------

STATUS: dict[str, int] = {
    "bad_message": 400,
    "unknown_type": 400,
    "code_not_allowed": 403,
    "forbidden": 403,
    "authentication_expired": 403,
    "unknown_task": 404,
    "not_there": 404,
    "ambiguous_task": 409,
    "unknown_object": 404,
    "connection_gone": 404,
    "not_acceptable": 406,
    "illegal_transition": 409,
    "conflict": 409,
    "too_large": 413,
    "invalid_launch": 422,
    "unknown_agent": 422,
    "runtime_mismatch": 422,
    "secret_unavailable": 422,
    "rate_limited": 429,
    "launches_paused": 429,
    "queue_full": 503,
    "worker_lost": 503,
    "store_unavailable": 503,
    "config_error": 503,
}
"""The HTTP status of each error code; any other is 500."""

_LAUNCH_ERRORS = (
    "code_not_allowed", "unknown_object", "conflict", "too_large", "invalid_launch", "unknown_agent",
    "runtime_mismatch", "secret_unavailable", "launches_paused", "queue_full", "worker_lost",
)  # fmt: skip
_TASK_ERRORS = ("unknown_task", "ambiguous_task")
_STEER_ERRORS = (*_TASK_ERRORS, "illegal_transition", "conflict", "too_large")


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. ``answer``: a model, or the content types of bytes. ``errors``: codes of its own, beside
    those of every path (bad_message, forbidden, store_unavailable, config_error, internal). ``arrow``: also as an
    Arrow IPC stream. ``permission``: the strongest that it needs; what is ``execute`` on a task needs ``write`` too.
    """

    name: str
    method: Literal["GET", "HEAD", "PUT", "POST"]
    path: str
    summary: str
    permission: Literal["read", "write", "execute"]
    answer: type[Frozen] | tuple[str, ...] | None
    errors: tuple[str, ...] = ()
    query: type[Query] | None = None
    body: type[Frozen] | None = None
    status: int = 200
    arrow: bool = False


_TASK = "/phasenb/api/tasks/{task_id}"
_OBJECT = "/phasenb/api/objects/{sha256}"
_CONNECTION = "/phasenb/api/connections"
_STEERING: tuple[tuple[str, type[protocol.Command], str, tuple[str, ...]], ...] = (
    ("cancel", protocol.Cancel, "End a task: what runs is interrupted", ()),
    ("pause", protocol.Pause, "Start nothing new after the running attempt", ()),
    ("resume", protocol.Resume, "Go on after a pause", ()),
    ("approve", protocol.Approve, "Let a task through its gate, with an edited output if given", _LAUNCH_ERRORS),
    ("deny", protocol.Deny, "Answer a gate with no: the task ends, or a phase is run again", ()),
    (
        "give_up",
        protocol.GiveUp,
        "Don't make the attempt that a task waits for: what follows the last one, follows now",
        (),
    ),
    ("retry", protocol.RetryTask, "Run a failed or cancelled task again, with new code if given", _LAUNCH_ERRORS),
)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "health", "GET", "/phasenb/api/health", "Whether the host works, and which store it has", "read", Health,
        query=HealthQuery,
    ),
    Operation("agents", "GET", "/phasenb/api/agents", "The registered agents", "read", AgentList),
    Operation(
        "agent", "GET", "/phasenb/api/agents/{agent}", "What a registered agent takes", "execute", AgentDescription,
        ("unknown_agent", "invalid_launch", "worker_lost"),
    ),
    Operation(
        "tasks", "GET", "/phasenb/api/tasks", "The user's tasks, in pages", "read", TaskPage,
        query=TasksQuery,
    ),
    Operation(
        "launch", "POST", "/phasenb/api/tasks", "Launch a task: it is durable when this answers", "execute",
        LaunchedTask, _LAUNCH_ERRORS, body=LaunchBody, status=201,
    ),
    Operation("task", "GET", _TASK, "A task as it is now", "read", TaskState, _TASK_ERRORS),
    Operation(
        "events", "GET", _TASK + "/events", "A task's log, in pages", "read", EventPage,
        _TASK_ERRORS, query=EventsQuery,
    ),
    Operation(
        "logs", "GET", _TASK + "/logs", "What its phases printed, in pages", "read", LinePage,
        _TASK_ERRORS, query=LogsQuery,
    ),
    Operation(
        "task_results", "GET", _TASK + "/results", "The outcome of each of its attempts", "read", ResultList,
        (*_TASK_ERRORS, "not_acceptable"), arrow=True,
    ),
    Operation(
        "results", "GET", "/phasenb/api/results", "The outcome of each attempt of all tasks", "read", ResultList,
        ("not_acceptable",), query=ResultsQuery, arrow=True,
    ),
    Operation(
        "source", "GET", _TASK + "/source/{phase}", "The text of a phase's function, as an attempt ran it", "read",
        PhaseSource, (*_TASK_ERRORS, "not_there"), query=SourceQuery,
    ),
    Operation(
        "artifact", "GET", _TASK + "/artifacts/{phase}/{attempt}/{name}", "What `ctx.artifact` kept", "read",
        (*CONTENT_TYPES.values(), BYTES), (*_TASK_ERRORS, "unknown_object"),
    ),
    Operation(
        "put_object", "PUT", _OBJECT, "Upload an input by its hash", "execute", KeptObject,
        ("too_large",), status=201,
    ),
    Operation(
        "get_object", "GET", _OBJECT, "The bytes of an object", "read", (BYTES,), ("unknown_object",),
    ),
    Operation(
        "has_object", "HEAD", _OBJECT, "Whether an object is here", "read", None, ("unknown_object",),
    ),
    *(
        Operation(
            name, "POST", f"{_TASK}/{name}", summary, "execute" if name == "retry" else "write", TaskState,
            (*_STEER_ERRORS, *more), body=body,
        )
        for name, body, summary, more in _STEERING
    ),
    Operation(
        "resume_launches", "POST", "/phasenb/api/resume_launches",
        "Let a session launch again, though a threshold says wait", "write", LaunchingSession, body=LaunchesBody,
    ),
    Operation(
        "open_connection", "POST", _CONNECTION, "The socket's messages over HTTP, where no WebSocket gets through",
        "read", OpenedConnection, ("rate_limited",), status=201,
    ),
    Operation(
        "send", "POST", _CONNECTION + "/{connection}/send", "Send one message, as on the socket", "read", None,
        ("connection_gone",), status=204,
    ),
    Operation(
        "receive", "POST", _CONNECTION + "/{connection}/receive", "The next messages, a line each, in order", "read",
        (LINES,), ("connection_gone",),
    ),
    Operation(
        "asyncapi", "GET", "/phasenb/api/asyncapi.json", "The socket's messages, as AsyncAPI 3", "read", (JSON,)
    ),
    Operation("openapi", "GET", "/phasenb/api/openapi.json", "These paths, as OpenAPI 3.1", "read", (JSON,)),
)  # fmt: skip
