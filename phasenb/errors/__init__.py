"""Every error phasenb raises on purpose: one root, facts as fields, the sentence made by ``__str__``.

The tree (stable wire codes in brackets; protocol.md "Errors")::

    PhasenbError [internal]
    ├── ConfigError                       a configuration file, variable or trait is wrong
    ├── LaunchError [invalid_launch]      arguments, phases, options of a launch
    │   ├── UnpicklableCode               code that can't travel to a worker
    │   └── CapturedTooLarge              a function froze a large notebook variable
    ├── UnknownTask [unknown_task]
    ├── AmbiguousTask [ambiguous_task]    a name, or the end of an id, that several tasks have
    ├── UnknownAgent [unknown_agent]
    ├── UnknownObject [unknown_object]
    ├── IllegalTransition [illegal_transition]
    ├── Conflict [conflict]               the log moved on, or a key is taken
    ├── QueueFull [queue_full]
    ├── LaunchesPaused [launches_paused]  too many failures in the session: a threshold says wait
    ├── CodeNotAllowed [code_not_allowed]
    ├── Forbidden [forbidden]             the server's authorizer says no to this user
    ├── AuthenticationExpired [authentication_expired]   its login ended while the connection was open
    ├── RuntimeMismatch [runtime_mismatch]
    ├── SecretUnavailable [secret_unavailable]
    ├── WorkerLost [worker_lost]          a worker that died, or could not be started for now
    │   ├── HostFrozen                    one that its guardian ended, as its host was frozen
    │   └── OutOfMemory                   one that the kernel killed, as memory ran out
    ├── LeaseLost                         another host has taken over what this one was doing
    ├── StoreUnavailable [store_unavailable]
    ├── AgentStopped                      an agent at the bound of its steps or cost, or that asks a person
    ├── AgentCrashed                      an agent that gave up, by its own account
    ├── ValueNotStorable                  an output or artifact that no codec can keep
    ├── PickleRefused                     a pickled value, for a client with allow_pickle=False
    ├── TaskFailed                        ``task.result()`` of a task that failed
    ├── TaskCancelled                     ``task.result()`` of a task that was cancelled
    ├── ApprovalNeeded                    ``task.result(on_approval="raise")`` of a task that waits for approval
    ├── TaskPaused                        the same of a task that is paused
    ├── PhaseRaised                       what a phase raised, as text: the cause of TaskFailed
    ├── ServerUnreachable                 a server was found or named, and does not answer
    ├── ProxyRefused                      a proxy in front of the server answered in its place
    ├── NoServer                          a command needs a server, and there is none
    ├── AccessDenied                      the server refused the token or the user
    ├── WrongValue (ValueError)           an argument that can't have this value
    ├── NoSuchName (AttributeError)       an attribute that an object does not have, and what to write instead
    ├── NotThere (KeyError) [not_there]   a phase, output or artifact that a task does not have
    ├── NotInTime (TimeoutError)          ``task.wait(timeout)`` of a task that goes on
    └── ProtocolError                     a frame that breaks protocol.md
        ├── BadMessage [bad_message]
        ├── UnknownType [unknown_type]
        ├── HelloRequired [hello_required]
        ├── UnsupportedProtocol [unsupported_protocol]
        ├── TooLarge [too_large]
        ├── RateLimited [rate_limited]
        ├── ConnectionGone [connection_gone]
        └── ServerError                   a code this release does not know, or [internal]

Beside the root: StoppedWaiting (KeyboardInterrupt), a notebook's Stop while a task was waited for.

Rule: an error's fields are facts that survive the wire (JSON); ``from_wire(code, message, details)`` builds
the same error on the client as the one that was raised on the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from phasenb.errors.base import PhasenbError, fact_names
from phasenb.errors.protocol import (
    BadMessage,
    ConnectionGone,
    HelloRequired,
    ProtocolError,
    RateLimited,
    ServerError,
    TooLarge,
    UnknownType,
    UnsupportedProtocol,
)
from phasenb.errors.tasks import (
    AccessDenied,
    AgentCrashed,
    AgentStopped,
    AmbiguousTask,
    ApprovalNeeded,
    AuthenticationExpired,
    CapturedTooLarge,
    CodeNotAllowed,
    ConfigError,
    Conflict,
    Forbidden,
    HostFrozen,
    IllegalTransition,
    LaunchError,
    LaunchesPaused,
    LeaseLost,
    NoServer,
    OutOfMemory,
    PhaseRaised,
    PickleRefused,
    ProxyRefused,
    QueueFull,
    RuntimeMismatch,
    SecretUnavailable,
    ServerUnreachable,
    StoreUnavailable,
    TaskCancelled,
    TaskFailed,
    TaskPaused,
    UnknownAgent,
    UnknownObject,
    UnknownTask,
    UnpicklableCode,
    ValueNotStorable,
    WorkerLost,
)
from phasenb.errors.usage import NoSuchName, NotInTime, NotThere, StoppedWaiting, WrongValue

__all__ = [
    "AccessDenied",
    "AgentCrashed",
    "AgentStopped",
    "AmbiguousTask",
    "ApprovalNeeded",
    "AuthenticationExpired",
    "BadMessage",
    "CapturedTooLarge",
    "CodeNotAllowed",
    "ConfigError",
    "Conflict",
    "ConnectionGone",
    "Forbidden",
    "HelloRequired",
    "HostFrozen",
    "IllegalTransition",
    "LaunchError",
    "LaunchesPaused",
    "LeaseLost",
    "NoServer",
    "NoSuchName",
    "NotInTime",
    "NotThere",
    "OutOfMemory",
    "PhaseRaised",
    "PhasenbError",
    "PickleRefused",
    "ProtocolError",
    "ProxyRefused",
    "QueueFull",
    "RateLimited",
    "RuntimeMismatch",
    "SecretUnavailable",
    "ServerError",
    "ServerUnreachable",
    "StoppedWaiting",
    "StoreUnavailable",
    "TaskCancelled",
    "TaskFailed",
    "TaskPaused",
    "TooLarge",
    "UnknownAgent",
    "UnknownObject",
    "UnknownTask",
    "UnknownType",
    "UnpicklableCode",
    "UnsupportedProtocol",
    "ValueNotStorable",
    "WorkerLost",
    "WrongValue",
    "from_wire",
]

_WIRE: tuple[type[PhasenbError], ...] = (
    LaunchError, UnknownTask, AmbiguousTask, NotThere, UnknownAgent, UnknownObject, IllegalTransition, Conflict,
    QueueFull, LaunchesPaused, CodeNotAllowed, Forbidden, AuthenticationExpired, RuntimeMismatch, SecretUnavailable,
    WorkerLost, StoreUnavailable, BadMessage, UnknownType, HelloRequired, UnsupportedProtocol, TooLarge, RateLimited,
    ConnectionGone,
)  # fmt: skip
BY_CODE: Mapping[str, type[PhasenbError]] = {cls.code: cls for cls in _WIRE}


def from_wire(code: str, message: str, details: Mapping[str, Any]) -> PhasenbError:
    """The error that an ``error`` message tells of; a ServerError where this release has no class for it."""
    cls = BY_CODE.get(code)
    if cls is not None:
        facts = {name: details[name] for name in fact_names(cls) if name in details}
        try:
            return cls(**facts)
        except TypeError:  # a newer server's facts are not ours: keep its sentence
            pass
    return ServerError(server_code=code, message=message, info=dict(details))


for _name in __all__:
    # People, logs and pickles know an error by the one address that is public.
    if isinstance(_error := globals()[_name], type):
        _error.__module__ = __name__
