"""The functions of an agent: what runs a phase, what stands in for it, what undoes it.

Rules: an agent has one function for each phase; a fallback or compensation belongs to a phase that it has. Both are
found as a phase's function is: a callable as it is, a text as the name of the agent's method.
"""

from __future__ import annotations

import inspect
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from phasenb.core.adapting import adapted, has_adapter
from phasenb.core.arguments import Arguments, read_arguments
from phasenb.core.launch_check import PHASE, nearest
from phasenb.core.steps import NO_BOUNDS, Bounds
from phasenb.dto.phase import DEFAULT_PHASES
from phasenb.errors import LaunchError

Function = Callable[..., Any]
Targets = Mapping[str, "str | Function"]

_PHASE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")  # dto.base.PhaseName
_METHODS = ("process", "run", "stream")
_STREAMS = ("process", "stream")  # what these return is taken for steps, even where it is no generator


class PhaseFunction:
    """A phase's callable, or an agent that an adapter makes one. ``method``: the agent's method that it is, which says
    how its steps are read. ``filled``: the arguments that phasenb itself fills, at most those of ``inject``.
    """

    __slots__ = ("arguments", "call", "filled", "joins", "streams")

    def __init__(self, call: Any, method: str = "", *, inject: Sequence[str]) -> None:
        if has_adapter(call):
            call, inject = adapted(call), ()  # its arguments are all its own
        self.call: Function = call
        self.streams = method in _STREAMS
        self.joins = method == "stream"  # the texts that it yields are one text
        self.arguments: Arguments = read_arguments(self.call)
        self.filled = tuple([name for name in self.arguments.injected if name in inject])


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Functions:
    """All functions of an agent, by phase, in the phases' order. ``options``: {option: {phase: value}}."""

    phases: dict[str, PhaseFunction]
    fallbacks: dict[str, PhaseFunction] = field(default_factory=dict)
    compensations: dict[str, PhaseFunction] = field(default_factory=dict)
    bounds: Bounds = NO_BOUNDS
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, PhaseFunction]:
        """``kind``: phase, fallback or compensation."""
        return {"phase": self.phases, "fallback": self.fallbacks, "compensation": self.compensations}[kind]

    def all(self) -> Iterator[tuple[PhaseFunction, frozenset[str]]]:
        """Each function, with the phases whose outputs it may take: a fallback and a compensation know their own."""
        outputs: frozenset[str] = frozenset()
        for phase, function in self.phases.items():
            yield function, outputs
            outputs |= {phase}
            for others in (self.fallbacks, self.compensations):
                if phase in others:
                    yield others[phase], outputs

    def inputs(self) -> Iterator[tuple[str, PhaseFunction, bool]]:
        """(input, a function that takes it, whether that must have it): of each, as often as it is taken."""
        for function, outputs in self.all():
            arguments = function.arguments
            for name in (*arguments.required, *arguments.optional):
                if name not in outputs and name not in function.filled:
                    yield name, function, name in arguments.required

    @property
    def open(self) -> bool:
        """Whether a function takes inputs of any name."""
        return any(function.arguments.open for function, _ in self.all())


def is_agent_class(cls: type) -> bool:
    """Whether its instances are agents. (Every class can be called, by its own type's ``__call__``.)"""
    return any(name in vars(base) for base in cls.__mro__ for name in (*_METHODS, "__call__"))


def can_run(target: Any) -> bool:
    """Whether ``target`` itself can run a phase: what can be called, or has an adapter."""
    return callable(target) or has_adapter(target)


def mapped(agent: Any, phase: str, target: str | Function, inject: Sequence[str]) -> PhaseFunction:
    """The function that ``target`` names or is. Raises LaunchError for a method that ``agent`` does not have."""
    if can_run(target):
        return PhaseFunction(target, inject=inject)
    if not isinstance(target, str):
        raise LaunchError(
            f"the phase `{phase}` needs a function or a method's name, not {target!r:.80}", argument=phase
        )
    method = getattr(agent, target, None)
    if not callable(method):
        raise LaunchError(
            f"the phase `{phase}` is mapped to `{target}`, which {_described(agent)} does not have.",
            argument=target,
            nearest=nearest(target, [name for name in dir(agent) if not name.startswith("_")]),
        )
    return PhaseFunction(method, target, inject=inject)


def phased(agent: Any, names: Sequence[str] | None, inject: Sequence[str]) -> dict[str, PhaseFunction]:
    """The phases of an agent that has no function for each of them. Raises LaunchError where it can't run them."""
    function = PhaseFunction(*_entry(agent), inject=inject)
    if PHASE in function.filled:
        return dict.fromkeys(names or DEFAULT_PHASES, function)
    if names is None:
        return {"implementation": function}
    if len(names) == 1:
        return {names[0]: function}
    raise LaunchError(
        f"`{function.arguments.name}` takes no `phase` argument, so it can't run {len(names)} phases: give one, or map "
        'phases to functions with phases={"research": ..., ...}',
        function=function.arguments.name,
        argument=PHASE,
    )


def check_phase_name(phase: Any) -> None:
    """Raises LaunchError for what can't be a phase's name."""
    if not isinstance(phase, str) or _PHASE_NAME.fullmatch(phase) is None:
        raise LaunchError(
            f"{phase!r} can't be a phase's name, as a later function takes the output by it: write it with the letters "
            f'a to z, digits and _, at most 64, such as "{_plain_name(phase)}"; a task\'s name may be any text'
        )


def _plain_name(phase: object) -> str:
    """A phase's name that is near to ``phase``."""
    letters = unicodedata.normalize("NFKD", phase).encode("ascii", "ignore").decode() if isinstance(phase, str) else ""
    name = re.sub(r"\W+", "_", letters).strip("_")[:64]
    return name if _PHASE_NAME.fullmatch(name) else "extract"


def _entry(agent: Any) -> tuple[Any, str]:
    """What an agent without mapped phases is run by, and the name of the method that it is."""
    if inspect.isroutine(agent) or has_adapter(agent):
        return agent, ""
    for name in _METHODS:
        method = getattr(agent, name, None)
        if callable(method):
            return method, name
    process = getattr(getattr(agent, "task", None), "process", None)
    if callable(process):
        return process, "process"
    if callable(agent):
        return agent, ""
    raise LaunchError(
        f"{_described(agent)} is no agent: it can't be called and has no process(), run(), stream() or task.process(); "
        'map its methods with ExtendedAgent(agent, phases={"research": "method", ...})'
    )


def _described(agent: Any) -> str:
    return f"{agent!r:.80}" if isinstance(agent, str | int | float) else f"a {type(agent).__qualname__}"
