"""What a client asks for in a launch."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints

from phasenb.dto import bounds
from phasenb.dto.agent_spec import laid_over
from phasenb.dto.base import Frozen, PhaseName
from phasenb.dto.bounds import AtMost
from phasenb.dto.policies import LONGEST_S, RecoveryPolicy, Seconds, Timeouts, Whole, parse_duration
from phasenb.dto.values import Json, as_reference

ExecutorKind = Literal["inline", "process"]
Name = Annotated[str, AtMost(bounds.NAME)]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,254}$")]
SecretSource = Annotated[
    str,
    StringConstraints(pattern=r"^(launcher|env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"),
    AtMost(bounds.PLACE),
]
SomeName = Annotated[str, Field(min_length=1), AtMost(bounds.NAME)]
Variable = Annotated[str, AtMost(bounds.VARIABLE)]
Label = Annotated[str, AtMost(bounds.TEXT)]
Place = Annotated[str, AtMost(bounds.PLACE)]
# A part of a policy; what it is laid over is the host's, which checks the whole (core.launching).
Recovery = Annotated[dict[str, Any], BeforeValidator(lambda said: said, json_schema_input_type=RecoveryPolicy)]
Inputs = Annotated[dict[Name, Json], AtMost(bounds.INPUTS)]
# The text of the functions of phases: cut by the client where it is longer.
Source = Annotated[dict[PhaseName, Annotated[str, AtMost(bounds.SOURCE)]], AtMost(bounds.PHASES)]
Phases = Annotated[tuple[PhaseName, ...], AtMost(bounds.PHASES)]
ObjectName = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]

CODE_ID = 16  # hexadecimal digits
LAUNCHER = "launcher"  # the source of a secret whose value comes with the launch
MOST_ATTEMPTS = 1_000_000  # far beyond any use: a bound for what a host is asked to count
SHORTEST_SECRET = 6  # characters: a shorter text could not be told from others where it is to be hidden

# What a process itself needs to run; as a secret each would also be hidden wherever its value is written.
NO_SECRETS = frozenset(
    {"PATH", "HOME", "USER", "SHELL", "TMPDIR", "LANG", "TERM", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME"}
)


Attempts = Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)]
AttemptsByPhase = Annotated[dict[PhaseName, Attempts], AtMost(bounds.PHASES)]
SecondsByPhase = Annotated[dict[PhaseName, Seconds], AtMost(bounds.PHASES)]


def _each(given: Any) -> tuple[Any, ...]:
    """The values of an option that has one for all phases, or one for each."""
    if given is None:
        return ()
    return tuple(given.values()) if isinstance(given, dict) else (given,)


def _attempts(given: Any) -> Any:
    for value in _each(given):
        if type(value) is not int or not 1 <= value <= MOST_ATTEMPTS:
            raise ValueError(
                f"{value!r:.40} is no number of attempts. Write retry=3, or retry={{phase: 3}}: the first attempt "
                "counts, so 1 tries nothing again"
            )
    return given


def _limits(given: Any) -> Any:
    for value in _each(given):
        seconds = parse_duration(value)
        if not isinstance(seconds, int | float) or not 0 < seconds <= LONGEST_S:
            raise ValueError(
                f'{value!r:.40} is no time limit. Write timeout="10m", or timeout={{phase: "10m"}}: seconds, or a '
                "number with a unit"
            )
    return given


Retry = Annotated[Attempts | AttemptsByPhase | None, BeforeValidator(_attempts)]
Timeout = Annotated[Seconds | SecondsByPhase | None, BeforeValidator(_limits)]


class LaunchOptions(Frozen):
    """Options of a launch. ``name`` is the run's (else the agent's), ``agent`` that of the agent which comes as code.

    ``key`` names the work: launched twice, it is one task, unless ``if_exists`` says else.

    ``env``: variables to be set for the task's phases. ``secrets``: variable -> where it is found, ``env:NAME`` or
    ``file:PATH`` of the host's, or ``launcher``: its value comes beside the options. Only that is stored, never the
    secret. ``fresh_worker``: a worker that ran nothing before, and that runs nothing after this task. ``retry``: how
    often a phase is tried at most, the first attempt included, whatever it raises; ``timeout``: how long an attempt may
    take. Both: one value for all phases, or {phase: value}.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: SomeName | None = None
    agent: SomeName | None = None
    key: SomeName | None = None
    if_exists: Literal["attach", "new", "error"] = "attach"
    phases: Annotated[tuple[PhaseName, ...], Field(min_length=1), AtMost(bounds.PHASES)] | None = None
    approve_before: Phases = ()
    executor: ExecutorKind | None = None
    recovery: Recovery | None = None
    timeouts: Timeouts | None = None
    retry: Retry = None
    timeout: Timeout = None
    env: Annotated[dict[VariableName, Variable], AtMost(bounds.VARIABLES)] = Field(default_factory=dict)
    secrets: Annotated[dict[VariableName, SecretSource], AtMost(bounds.SECRETS)] = Field(default_factory=dict)
    labels: Annotated[dict[Name, Label], AtMost(bounds.LABELS)] = Field(default_factory=dict)
    priority: Whole = Field(default=0, ge=-100, le=100)
    fresh_worker: bool = False


class RecoveryOptions(Frozen):
    """How often phases are tried and how long, where it is said apart from a launch's options: by the phases of its
    code themselves, which a launch's own options lie over, or by a retry, whose options replace the launch's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    retry: Retry = None
    timeout: Timeout = None


AS_LAUNCHED = RecoveryOptions()


class Runtime(Frozen):
    """Where a launch comes from. ``python`` is ``"3.11.7"``; ``host`` identifies the machine (core of `is it ours`).

    ``sys_path`` are the launcher's additions, to be put before the interpreter's own entries, in this order.
    ``notebook`` is the absolute path of the notebook that launches, where it is one. ``variables`` names the object (of
    the launcher's owner) that has the environment variables which go along, as a JSON object; for this machine only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    python: Name
    executable: Place
    cwd: Place
    sys_path: Annotated[tuple[Place, ...], AtMost(bounds.PATHS)] = ()
    host: Name
    notebook: Place | None = None
    variables: ObjectName | None = None


class Launch(Frozen):
    """A launch as the engine takes it. Exactly one of ``agent`` (a registered name) and ``code``.

    ``code``: base64 text of a cloudpickled agent, or an object reference (dto.values); ``source``: the text of the
    functions of its phases, for people; ``phase_options``: what they say of themselves. ``inputs``: values by name.
    ``traceparent``: the span of the launcher that the task belongs under (W3 Trace Context). ``parent``: the task in
    whose phase it was launched.
    """

    agent: Name | None = None
    code: Json = None
    source: Source = Field(default_factory=dict)
    phase_options: RecoveryOptions = RecoveryOptions()
    inputs: Inputs = Field(default_factory=dict)
    options: LaunchOptions = LaunchOptions()
    runtime: Runtime | None = None
    idempotency_key: str | None = None
    traceparent: str | None = None
    parent: str | None = None

    @property
    def recovery_options(self) -> RecoveryOptions:
        """``retry`` and ``timeout`` of the launch, laid over those of its code's phases."""
        said, own = self.options, self.phase_options
        return RecoveryOptions.model_construct(
            retry=laid_over(own.retry, said.retry), timeout=laid_over(own.timeout, said.timeout)
        )


def code_id(code: Json) -> str | None:
    """What tells one code from another: the first 16 hexadecimal digits of the SHA-256 of its text or object."""
    if isinstance(code, str):
        return sha256(code.encode()).hexdigest()[:CODE_ID]
    reference = as_reference(code)
    return None if reference is None else reference.hash.removeprefix("sha256:")[:CODE_ID]
