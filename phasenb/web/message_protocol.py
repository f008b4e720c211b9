"""The wire as types: commands from clients, replies and events from servers (protocol.md, version 1).

Rules: a command with a field it does not know is refused; a client ignores fields and event types it does not know.
Events are dto.events; everything else that travels is here. Parsing never raises anything but errors.ProtocolError.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import (
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic.config import JsonDict

from phasenb.dto import bounds, problems
from phasenb.dto.base import Frozen, Message, PhaseName, SessionName
from phasenb.dto.events import EVENT_CLASSES, Event, PhaseLog, PhaseUpdate, parse_event
from phasenb.dto.launch import AS_LAUNCHED, Inputs, LaunchOptions, Name, RecoveryOptions, Runtime, Source, VariableName
from phasenb.dto.task_state import State, TaskState
from phasenb.dto.values import Json
from phasenb.errors import BadMessage, UnknownType

PROTOCOL = 1
Number = Annotated[int, Field(ge=0, le=bounds.NUMBER)]
Scope = Literal["session", "user"]
TRACEPARENT = r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"
Traceparent = Annotated[str, StringConstraints(pattern=TRACEPARENT)]


# --- commands ----------------------------------------------------------------------------------------------------


class Command(Frozen):
    """``id`` is the client's own, echoed as ``reply_to``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, max_length=bounds.ID)


def _there(name: str) -> JsonDict:
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


def _exactly_one(*names: str) -> JsonDict:
    """In the schema, what a validator asks for: one of these fields is there and not null."""
    return {"oneOf": [_there(name) for name in names]}


class NotebookPlace(Frozen):
    """A notebook that a client runs in: its absolute ``path`` on the ``machine`` of its kernel (named as ``welcome``
    names the host's), and the id that its Jupyter server gave the ``kernel``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(min_length=1, max_length=bounds.PLACE)
    kernel: str | None = Field(default=None, max_length=bounds.NAME)
    machine: str | None = Field(default=None, max_length=bounds.ID)


class Hello(Command):
    """The session: one of its own choice, else the notebook's, whose name ``welcome`` says. At least one is given."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [_there("session"), _there("notebook")]})

    type: Literal["hello"] = "hello"
    protocol: Number
    session: SessionName | None = None
    notebook: NotebookPlace | None = None
    client: Name | None = None

    @model_validator(mode="after")
    def _some_session(self) -> Self:
        if self.session is None and self.notebook is None:
            raise ValueError("give a session, a notebook, or both")
        return self


def _without_echo(value: Any, parsed: ValidatorFunctionWrapHandler) -> Any:
    """Problems of secrets, told without where in them they are: a name may be a secret that was put in its place."""
    try:
        return parsed(value)
    except ValidationError:
        most = f"at most {bounds.SECRETS} variables and their texts, of at most {bounds.VARIABLE:,} characters each,"
        raise ValueError(f"an object of {most} is required") from None


# Hidden where a command is shown by mistake, in a log or a debugger.
SecretText = Annotated[SecretStr, Field(max_length=bounds.VARIABLE)]
SecretValues = Annotated[dict[VariableName, SecretText], Field(max_length=bounds.SECRETS), WrapValidator(_without_echo)]


def plain(values: SecretValues) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in values.items()}


class LaunchRequest(Frozen):
    """Exactly one of ``agent`` and ``code``; see dto.launch.Launch. ``traceparent`` as W3 Trace Context writes it.

    ``secret_values``: of the secrets that ``options.secrets`` take from the launcher; neither stored nor logged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_exactly_one("agent", "code"))

    agent: Name | None = None
    code: Json = None
    source: Source = Field(default_factory=dict)
    phase_options: RecoveryOptions = AS_LAUNCHED
    inputs: Inputs = Field(default_factory=dict)
    options: LaunchOptions = LaunchOptions()
    runtime: Runtime | None = None
    idempotency_key: Name | None = None
    traceparent: Traceparent | None = None
    secret_values: SecretValues = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.agent is None) == (self.code is None):
            raise ValueError("give exactly one of agent and code")
        return self


class LaunchCommand(LaunchRequest, Command):
    """A launch in the connection's session; its connection follows the task."""

    type: Literal["launch"] = "launch"


class Subscribe(Command):
    type: Literal["subscribe"] = "subscribe"
    task_id: Name
    after_seq: Number = 0
    epoch: str | None = Field(default=None, max_length=bounds.ID)


class SubscribeFeed(Command):
    type: Literal["subscribe_feed"] = "subscribe_feed"
    scope: Scope = "session"
    after: Name | None = None


class Unsubscribe(Command):
    """One of ``task_id`` and ``feed: true``."""

    model_config = ConfigDict(json_schema_extra=_exactly_one("task_id", "feed"))

    type: Literal["unsubscribe"] = "unsubscribe"
    task_id: Name | None = None
    feed: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_target(self) -> Unsubscribe:
        if (self.task_id is None) == (self.feed is None):
            raise ValueError("give exactly one of task_id and feed")
        return self


class Cancel(Command):
    type: Literal["cancel"] = "cancel"
    task_id: Name


class Pause(Command):
    type: Literal["pause"] = "pause"
    task_id: Name


class Resume(Command):
    """One of ``task_id`` and ``launches: true``: let the session launch again before its threshold's window is over.

    ``secret_values``: of secrets that the launcher gave, where a task waits for them.
    """

    model_config = ConfigDict(json_schema_extra=_exactly_one("task_id", "launches"))

    type: Literal["resume"] = "resume"
    task_id: Name | None = None
    launches: Literal[True] | None = None
    secret_values: SecretValues = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_target(self) -> Resume:
        if (self.task_id is None) == (self.launches is None):
            raise ValueError("give exactly one of task_id and launches")
        return self


class Approve(Command):
    """``if_seq``: the gate that was seen. ``edit`` replaces the last output where it is given; ``null`` is a value."""

    type: Literal["approve"] = "approve"
    task_id: Name
    phase: PhaseName
    if_seq: Number
    edit: Json = None
    note: str | None = Field(default=None, max_length=bounds.REMARK)


class Deny(Command):
    type: Literal["deny"] = "deny"
    task_id: Name
    phase: PhaseName
    if_seq: Number
    reason: str = Field(max_length=bounds.REMARK)
    redo: PhaseName | None = None


class GiveUp(Command):
    """Don't make the attempt that a task in state ``retrying`` waits for: what follows the last one follows now.
    ``if_seq``: the snapshot that was seen.
    """

    type: Literal["give_up"] = "give_up"
    task_id: Name
    if_seq: Number | None = None


class RetryTask(Command):
    """``code``, ``runtime`` and ``secret_values`` as in ``launch``: they replace the launch's, as ``options`` do."""

    type: Literal["retry"] = "retry"
    task_id: Name
    from_phase: PhaseName | None = None
    if_seq: Number | None = None
    code: Json = None
    source: Source = Field(default_factory=dict)
    runtime: Runtime | None = None
    secret_values: SecretValues = Field(default_factory=dict)
    options: RecoveryOptions = AS_LAUNCHED


class ListTasks(Command):
    type: Literal["list"] = "list"
    scope: Scope = "session"
    state: State | None = None
    limit: int = Field(default=100, ge=1, le=1000)
    before: Name | None = None


class Ping(Command):
    type: Literal["ping"] = "ping"


SteeringCommand = Cancel | Pause | Resume | Approve | Deny | RetryTask | GiveUp
AnyCommand = (
    Hello | LaunchCommand | Subscribe | SubscribeFeed | Unsubscribe | Cancel | Pause | Resume | Approve | Deny
    | RetryTask | GiveUp | ListTasks | Ping
)  # fmt: skip
_COMMANDS: dict[str, type[AnyCommand]] = {cls.model_fields["type"].default: cls for cls in AnyCommand.__args__}
COMMAND_TYPES: tuple[str, ...] = tuple(_COMMANDS)


# --- replies -----------------------------------------------------------------------------------------------------


class Reply(Message):
    reply_to: str


class Limits(Frozen):
    max_message_bytes: int
    max_frame_bytes: int
    commands_per_second: float
    updates_per_second: float
    replay_max_events: int


class Welcome(Reply):
    """``machine``: the host's, as config.machine.machine_digest says it. A client of the same one has its paths."""

    type: Literal["welcome"] = "welcome"
    protocol: int = PROTOCOL
    epoch: str
    server: str
    session: SessionName
    owner: str
    machine: str | None = None
    agents: tuple[str, ...] = ()
    limits: Limits


class Launched(Reply):
    type: Literal["launched"] = "launched"
    task_id: str
    seq: int
    duplicate: bool = False


class Subscribed(Reply):
    type: Literal["subscribed"] = "subscribed"
    task_id: str
    epoch: str
    seq: int
    recovered: bool
    snapshot: TaskState | None = None


class Feed(Reply):
    type: Literal["feed"] = "feed"
    tasks: tuple[TaskState, ...] = ()
    cursor: str
    next: str | None = None


class Tasks(Reply):
    type: Literal["tasks"] = "tasks"
    tasks: tuple[TaskState, ...] = ()
    next: str | None = None


class Ok(Reply):
    type: Literal["ok"] = "ok"


class Pong(Reply):
    type: Literal["pong"] = "pong"


class ErrorMessage(Message):
    """``reply_to`` is null where the frame had no readable ``id``."""

    type: Literal["error"] = "error"
    reply_to: str | None = None
    code: str
    message: str
    details: dict[str, Any] = Field(default_factory=dict)


AnyReply = Welcome | Launched | Subscribed | Feed | Tasks | Ok | Pong | ErrorMessage
ServerMessage = AnyReply | Event | PhaseUpdate | PhaseLog
_LIVE: dict[str, type[PhaseUpdate] | type[PhaseLog]] = {"phase_update": PhaseUpdate, "phase_log": PhaseLog}
_REPLIES: dict[str, type[AnyReply]] = {cls.model_fields["type"].default: cls for cls in AnyReply.__args__}
_FROM_SERVERS: dict[str, type[ServerMessage]] = {**EVENT_CLASSES, **_LIVE, **_REPLIES}


# --- parsing -----------------------------------------------------------------------------------------------------


def parse_object(frame: str | bytes) -> dict[str, Any]:
    """The JSON object that a frame is. Raises BadMessage."""
    try:
        message = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise BadMessage(f"the message is not JSON ({error})") from None
    if not isinstance(message, dict):
        raise BadMessage(f"a message is a JSON object, this one is {_json_kind(message)}")
    return message


def check_depth(message: dict[str, Any]) -> None:
    """Raises BadMessage for what could be read and not be written again (orjson), or be looked through."""
    if bounds.too_deep(message):
        deepest = next((name for name, value in message.items() if bounds.too_deep(value)), "message")
        told = (
            f"arrays and objects may be {bounds.DEPTH} deep within each other: have it flatter, or send it as an object"
        )
        raise BadMessage("the message is nested too deep", {bounds.place((deepest,)): told})


def parse_command(message: dict[str, Any]) -> AnyCommand:
    """The command that an object is. Raises BadMessage with field paths, or UnknownType."""
    kind = message.get("type")
    if not isinstance(kind, str):
        raise BadMessage("the message has no type", {"type": "a string is required"})
    if kind not in _COMMANDS:
        raise UnknownType(kind[:100], list(COMMAND_TYPES))
    check_depth(message)
    try:
        return _COMMANDS[kind].model_validate(message)
    except ValidationError as error:
        raise BadMessage(f"`{kind}` is not valid", problems.fields(error, _COMMANDS[kind], message)) from None


def parse_server_message(frame: str | bytes) -> ServerMessage | None:
    """What a server said; None for a type that this release does not know. Raises BadMessage."""
    message = parse_object(frame)
    kind = message.get("type")
    cls = _FROM_SERVERS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        return None
    try:
        return parse_event(message) if kind in EVENT_CLASSES else cls.model_validate(message)
    except ValidationError as error:
        raise BadMessage(f"the server's `{kind}` is not valid", problems.fields(error, cls, message)) from None


def _json_kind(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
