"""Workflow: an agent made of plain functions, one for each phase.

Rules: a decorator returns its function unchanged, so that a test calls it without phasenb. Without ``phases`` the
phases are those that have a function: in the default order where all have default names, else in the order of first
decoration. Decorating a phase again replaces its function in place. A copy made by ``with_options`` shares the
functions: a cell that is run again changes both. A fallback or a compensation may be decorated before its phase.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Never, Self, TypeVar, overload

from phasenb.core.extended_agent import ExtendedAgent, H
from phasenb.core.launch_check import CONTEXT, nearest
from phasenb.core.options import PHASE_OPTIONS, check_options
from phasenb.core.phase_functions import Functions, PhaseFunction, can_run, check_phase_name
from phasenb.core.steps import NO_BOUNDS, Bounds
from phasenb.core.takes_inputs import TakesInputs
from phasenb.dto.phase import DEFAULT_PHASES
from phasenb.errors import LaunchError

F = TypeVar("F", bound=Callable[..., Any])
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


class Workflow(ExtendedAgent[H]):
    """``flow = Workflow("penguins")``, then ``@flow.research``, ``@flow.planning``, ``@flow.implementation``, or
    ``@flow.phase("extract")`` for names of one's own; ``phases`` fixes names and order beforehand.

    Raises LaunchError for an empty name, a phase named twice, or a name that can't be an argument's.
    """

    _inject: tuple[str, ...] = (CONTEXT,)  # `phase` is an input like any other
    _PUBLIC = (*ExtendedAgent._PUBLIC, *DEFAULT_PHASES, "phase", "fallback", "compensate", "run")

    def __init__(self, name: str, phases: Sequence[str] | None = None) -> None:
        if not isinstance(name, str) or not name:
            raise LaunchError(f"a workflow needs a name, not {name!r}")
        declared = None if phases is None else tuple([phases] if isinstance(phases, str) else phases)
        for phase in declared or ():
            check_phase_name(phase)
            if declared is not None and declared.count(phase) > 1:
                raise LaunchError(f"{name!r} has the phase `{phase}` twice", argument=phase)
        self.name = name
        self.agent = None
        self.factory = None
        self.options = {}
        self._phases = None
        self._fallbacks = {}
        self._compensations = {}
        self._made = None
        self._made_of: tuple[Any, ...] = ()
        self._declared = declared
        self._decorated: dict[str, Callable[..., Any]] = {}
        self._phase_options: dict[str, dict[str, Any]] = {}

    @overload
    def research(self, function: F, /) -> F: ...
    @overload
    def research(self, /, *, retry: int | None = None, timeout: float | str | None = None) -> Callable[[F], F]: ...
    def research(self, function: Any = None, /, **options: Any) -> Any:
        """The function of the phase ``research``; returned unchanged. With options: see ``phase``."""
        return self._bare("research", function, **options)

    @overload
    def planning(self, function: F, /) -> F: ...
    @overload
    def planning(self, /, *, retry: int | None = None, timeout: float | str | None = None) -> Callable[[F], F]: ...
    def planning(self, function: Any = None, /, **options: Any) -> Any:
        """The function of the phase ``planning``; returned unchanged. With options: see ``phase``."""
        return self._bare("planning", function, **options)

    @overload
    def implementation(self, function: F, /) -> F: ...
    @overload
    def implementation(
        self, /, *, retry: int | None = None, timeout: float | str | None = None
    ) -> Callable[[F], F]: ...
    def implementation(self, function: Any = None, /, **options: Any) -> Any:
        """The function of the phase ``implementation``; returned unchanged. With options: see ``phase``."""
        return self._bare("implementation", function, **options)

    def phase(
        self, name: str, *, retry: int | None = None, timeout: float | str | None = None, **others: Never
    ) -> Callable[[F], F]:
        """A decorator for the function of the phase ``name``. Raises LaunchError for a name that is none of
        ``phases`` (where they were given) or can't be a phase's, and for what is no function.

        ``retry``: how often the phase is tried at most, the first attempt included, whatever it raises. ``timeout``:
        how long an attempt may take, in seconds, or as ``"10m"``. A launch's own options lie over both.
        """
        check_options(others, PHASE_OPTIONS)
        return self._decorator("phase", name, self._decorated, {"retry": retry, "timeout": timeout})

    def fallback(self, name: str) -> Callable[[F], F]:
        """A decorator for the function that runs in the place of the phase ``name`` when it failed for good; it finds
        the failure as ``ctx.failure``. Returned unchanged. Raises LaunchError as ``phase`` does.
        """
        return self._decorator("fallback", name, self._fallbacks)

    def compensate(self, name: str) -> Callable[[F], F]:
        """A decorator for the function that undoes the phase ``name`` when the task is rolled back to an earlier one.

        It may ask for the phase's own output, by the phase's name: None where the phase did not come to its end.
        Returned unchanged. Raises LaunchError as ``phase`` does.
        """
        return self._decorator("compensate", name, self._compensations)

    def _bare(self, name: str, function: Any, /, **options: Any) -> Any:
        check_options(options, PHASE_OPTIONS)
        decorator: Callable[[Any], Any] = self.phase(name, **options)
        return decorator if function is None else decorator(function)

    def _decorator(
        self, decorator: str, name: str, functions: dict[str, Any], options: Mapping[str, Any] = NO_OPTIONS
    ) -> Callable[[F], F]:
        if callable(name):
            raise LaunchError(f'give the phase\'s name: @flow.{decorator}("extract")', argument="name")
        check_phase_name(name)
        if self._declared is not None and name not in self._declared:
            raise LaunchError(
                f"{self.name!r} has no phase `{name}` (it has {', '.join(self._declared)}).",
                argument=name,
                nearest=nearest(name, self._declared),
            )

        def decorate(function: F) -> F:
            if not can_run(function):
                raise LaunchError(f"the phase `{name}` needs a function, not {function!r:.80}", argument=name)
            functions[name] = function
            for option, value in options.items():
                values = self._phase_options.setdefault(option, {})
                values.pop(name, None)  # decorated again, it is as decorated last
                if value is not None:
                    values[name] = value
            return function

        return decorate

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases in their order, those of ``phases=`` that have no function yet included."""
        if self._declared is not None:
            return self._declared
        if all(name in DEFAULT_PHASES for name in self._decorated):
            return tuple(name for name in DEFAULT_PHASES if name in self._decorated)
        return tuple(self._decorated)

    @TakesInputs
    def run(self, /, **inputs: Any) -> Any:
        """Run all phases here and now and return the last one's output: for %debug and for tests.

        Nothing is pickled or stored; what a phase raises comes out as it is; progress and log lines go to stderr.
        Raises LaunchError for inputs that don't fit.
        """
        from phasenb.agents.local_run import run_here  # late: a launch does not need it

        return run_here(self, inputs)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Code that an earlier release packed has no options of phases.
        super().__setstate__({"_phase_options": {}, **state})

    def travelling(self, sources: Mapping[str, str] | None = None) -> Self:
        """See ExtendedAgent."""
        copy = super().travelling(sources)
        copy._made_of = ()
        return copy

    def _function(self, kind: str, phase: str) -> tuple[PhaseFunction | None, Bounds]:
        """Made is the one that runs: the agent is built anew for each attempt."""
        others = {"fallback": self._fallbacks, "compensation": self._compensations}
        given = others.get(kind, self._decorated)
        return (self._read(given[phase]) if phase in given else None), NO_BOUNDS

    def _functions(self) -> Functions:
        """Made anew only where something was decorated since: each attempt and each launch asks."""
        given = (
            _identity(self._decorated),
            _identity(self._fallbacks),
            _identity(self._compensations),
            *[(option, *values.items()) for option, values in self._phase_options.items()],
        )
        if self._made is None or self._made_of != given:
            self._made, self._made_of = self._read_functions(), given
        return self._made

    def _read_functions(self) -> Functions:
        order = self.phases
        return Functions(
            {name: self._read(self._decorated[name]) for name in order if name in self._decorated},
            {name: self._read(self._fallbacks[name]) for name in _ordered(self._fallbacks, order)},
            {name: self._read(self._compensations[name]) for name in _ordered(self._compensations, order)},
            options={option: dict(values) for option, values in self._phase_options.items() if values},
        )

    def _instead(self, name: str) -> str:
        phase = f'@flow.phase("{name}") decorates the function of a phase of this name'
        return " ".join(each for each in (super()._instead(name), phase) if each)

    def _read(self, function: Any) -> PhaseFunction:
        return PhaseFunction(function, inject=self._inject)


def _identity(functions: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """What was decorated, by identity: the functions that it was made of are kept, so that no id is used again."""
    return tuple([(name, id(function)) for name, function in functions.items()])


def _ordered(names: Mapping[str, Any], order: Sequence[str]) -> list[str]:
    """In the phases' order; those of a phase that there is not come last, for the launch's check to tell."""
    return [*(name for name in order if name in names), *(name for name in names if name not in order)]
