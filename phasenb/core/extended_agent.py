"""ExtendedAgent: any agent, as it is, made to run phase by phase.

What an agent may be (the first that fits counts):

1. with ``phases={"research": "method", "planning": function}``: each phase has its own method or function;
2. a function, method or other callable without the methods below; sync or async, a generator or not;
3. an object with ``process()``, ``run()`` or ``stream()``, in this order;
4. an object whose ``task`` has ``process()``;
5. an object that can be called; a class with one of these methods, or whose methods ``phases`` names, is made without
   arguments, in the worker.

Rules: an agent that takes a ``phase`` argument, meant as core.injection says, runs once for each phase (``phases=``
names them; the default three otherwise); one that does not is a task of one phase, ``implementation``. Arguments are
filled by name (core.arguments), progress and result are told as core.steps says, and outputs are returned raw:
encoding is the executor's. A task builds its agent anew for each attempt, from its factory, else from its pickle: what
it keeps in ``self`` is not carried from one phase to the next, and what a later phase needs is an earlier one's output.
A factory is called where phases run, never where the launch is made. A phase's fallback runs in its place when it
failed for good, a phase's compensation undoes it in a rollback; both may ask for the phase's own output too, by the
phase's name, which is None where there is none.
"""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self

from typing_extensions import TypeVar, Unpack

from phasenb.core.arguments import function_name
from phasenb.core.context import Cancelled, Context
from phasenb.core.driving import drive
from phasenb.core.endless import bounds_over, checked_bounds
from phasenb.core.injection import INJECTED
from phasenb.core.launch_check import CONTEXT, PHASE, nearest, suggestion
from phasenb.core.launchers import hook
from phasenb.core.options import Options, check_options, options_signature
from phasenb.core.phase_functions import (
    Functions,
    PhaseFunction,
    Targets,
    check_phase_name,
    is_agent_class,
    mapped,
    phased,
)
from phasenb.core.steps import Bounds, Steps
from phasenb.core.takes_inputs import TakesInputs
from phasenb.dto.agent_spec import AgentSpec, FunctionSpec
from phasenb.errors import LaunchError, NoSuchName

Phases = Targets | Sequence[str]

H = TypeVar("H", default=Any)  # what launch returns: phasenb.TaskHandle, which the core does not know

_shipped: set[str] = set()  # the files whose lines came with an agent


class ExtendedAgent(Generic[H]):
    """An agent that runs phase by phase: see the module's rules.

    ``phases`` maps phase names to methods or functions, or names the phases of an agent that takes a ``phase``
    argument. ``factory``, without arguments, makes an agent that can't be pickled; it is called in the worker, for each
    attempt anew.
    ``fallbacks`` and ``compensations`` map phase names to methods or functions.

    ``max_steps`` and ``until`` are for an agent that yields without end: ``until(step)`` is asked after each step and
    ends the phase where it is true; it may also take an argument ``agent``. A step more than ``max_steps`` fails the
    phase (AgentStopped, which is not retried). ``inject`` names the arguments that phasenb fills where the agent has
    them; with ``()`` they are inputs like all others.
    Raises LaunchError for an agent that none of the rules fits.
    """

    _PUBLIC: ClassVar[tuple[str, ...]] = ("last", "launch", "name", "options", "phases", "with_options")

    # Here and not only where they are set: code that an earlier release packed lies in stores, and knows none of them.
    _inject: tuple[str, ...] = tuple(INJECTED)
    _max_steps: int | None = None
    _until: Callable[..., object] | None = None

    def __init__(
        self,
        agent: Any = None,
        *,
        factory: Callable[[], Any] | None = None,
        phases: Phases | None = None,
        fallbacks: Targets | None = None,
        compensations: Targets | None = None,
        name: str | None = None,
        max_steps: int | None = None,
        until: Callable[..., object] | None = None,
        inject: Sequence[str] = tuple(INJECTED),
    ) -> None:
        if (agent is not None and factory is not None) or (
            agent is None and factory is None and not isinstance(phases, Mapping)
        ):
            raise LaunchError("give an agent, or factory=: a function without arguments that makes one")
        by_name = isinstance(phases, Mapping) and any(isinstance(target, str) for target in phases.values())
        if inspect.isclass(agent) and (by_name or is_agent_class(agent)):
            agent, factory = None, agent
        self.name: str = name or _name_of(agent if factory is None else factory)
        self.agent = agent
        self.factory = factory
        self.options: dict[str, Any] = {}
        self._phases = phases
        self._fallbacks: dict[str, str | Callable[..., Any]] = dict(fallbacks or {})
        self._compensations: dict[str, str | Callable[..., Any]] = dict(compensations or {})
        self._max_steps, self._until = checked_bounds(max_steps, until)
        self._inject = _checked_inject(inject)
        self._made: Functions | None = None
        for phase in (*(phases or ()), *self._fallbacks, *self._compensations):
            check_phase_name(phase)
        if factory is None:
            self._functions()

    @classmethod
    def of(cls, agent: Any) -> ExtendedAgent[Any]:
        """``agent`` as an ExtendedAgent; itself where it already is one."""
        return agent if isinstance(agent, ExtendedAgent) else ExtendedAgent(agent)

    @classmethod
    def registered(cls, target: str) -> ExtendedAgent[Any]:
        """The agent that the configuration names ``"module:attribute"``. Raises LaunchError where there is none."""
        module_name, _, path = target.partition(":")
        try:
            found: Any = import_module(module_name)
        except ImportError as error:
            raise LaunchError(f"the registered agent {target!r} can't be imported: {error}") from error
        for part in path.split("."):
            try:
                found = getattr(found, part)
            except AttributeError:
                raise LaunchError(
                    f"the registered agent {target!r} is not there: {function_name(type(found))} "
                    f"{getattr(found, '__name__', '')} has no `{part}`.",
                    argument=part,
                    nearest=nearest(part, dir(found)),
                ) from None
        return cls.of(found)

    # --- what it is ----------------------------------------------------------------------------------------------

    @property
    def built(self) -> bool:
        """Whether the agent is there: one from a factory is made by the first phase that runs, or by ``spec()``."""
        return self.factory is None or self._made is not None

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases in their order. Builds an agent that is given as a factory."""
        return tuple(self._functions().phases)

    def spec(self) -> AgentSpec:
        """What this agent says of itself. Builds an agent that is given as a factory."""
        functions = self._functions()
        return AgentSpec(
            name=self.name,
            phases=self.phases,
            functions=_specs(functions.phases),
            fallbacks=_specs(functions.fallbacks),
            compensations=_specs(functions.compensations),
            options={option: dict(values) for option, values in functions.options.items()},
        )

    def described(self) -> AgentSpec:
        """``spec()``, with the JSON schema of the launch inputs."""
        from phasenb.core.input_schema import input_schema

        return self.spec().model_copy(update={"inputs": input_schema(self._functions())})

    def run_phase(self, phase: str, ctx: Context, values: Mapping[str, Any]) -> Any:
        """Run one phase to its end, here, and return its raw output.

        ``values`` holds launch inputs and earlier outputs by name; only what the function asks for is looked up.
        Raises what the phase raises, Cancelled, and LaunchError for an unknown phase or an argument without a value.
        """
        return self._run("phase", phase, ctx, values)

    def run_fallback(self, phase: str, ctx: Context, values: Mapping[str, Any]) -> Any:
        """Run the phase's fallback in its place, as ``run_phase`` does."""
        return self._run("fallback", phase, ctx, OwnOutput(values, phase))

    def run_compensation(self, phase: str, ctx: Context, values: Mapping[str, Any]) -> Any:
        """Run the phase's compensation, which undoes it, as ``run_phase`` does. ``values`` has the phase's output
        too, where it has one.
        """
        return self._run("compensation", phase, ctx, OwnOutput(values, phase))

    # --- launching -----------------------------------------------------------------------------------------------

    def with_options(self, **options: Unpack[Options]) -> Self:
        """A copy whose launches have these options; the agent itself stays as it is. docs/python.md has a table.

        ``name`` names the run; ``key`` the work: launched twice, it is one task (``if_exists``). ``env`` names
        variables whose values are taken from this process at launch and set where the phases run; a dict gives the
        values. ``fresh_worker=True``: a worker process that ran nothing before, and that runs nothing after this task.
        ``secrets`` names variables whose values are taken likewise, or maps them to where they are found there
        (``"env:NAME"``, ``"file:PATH"``; ``"launcher"``: here). A secret itself is never stored, and shows as ``***``
        in logs, messages, errors, previews and in the strings of JSON values. Pickled values and tables are not
        searched.
        ``retry=3``: at most three attempts, whatever is raised; ``timeout``: the seconds that an attempt may take (or
        ``"10m"``). Both: one value for all phases, or ``{phase: value}``. Raises LaunchError for any other option.
        """
        check_options(options)
        copy = self._copy()
        copy.options = {**self.options, **options}
        return copy

    with_options.__signature__ = options_signature()  # type: ignore[attr-defined]

    @TakesInputs
    def launch(self, /, **inputs: Any) -> H:
        """Launch a task; every keyword is an input. Returns its TaskHandle at once.

        Raises LaunchError for inputs that don't fit, and what the client raises.
        """
        return hook("launch")(self, inputs, self.options)  # type: ignore[no-any-return]

    def last(self) -> H | None:
        """The TaskHandle of this agent's newest task in this session, or None where there is none."""
        return hook("last")(self, self.options)  # type: ignore[no-any-return]

    # --- inside --------------------------------------------------------------------------------------------------

    def _run(self, kind: str, phase: str, ctx: Context, values: Mapping[str, Any]) -> Any:
        function, bounds = self._function(kind, phase)
        if function is None:
            has = self._functions().of(kind)
            what = f"no phase `{phase}`" if kind == "phase" else f"no {kind} for the phase `{phase}`"
            raise LaunchError(
                f"{self.name!r} has {what} (it has {', '.join(has) or 'none'}).",
                argument=phase,
                nearest=nearest(phase, has),
            )
        if ctx.cancelled:
            raise Cancelled
        ours = {CONTEXT: ctx, PHASE: phase}
        args, kwargs = function.arguments.bind({name: ours[name] for name in function.filled}, values)
        steps = Steps(ctx, joins=function.joins, bounds=bounds, name=f"`{function.arguments.name}`")
        return drive(function.call(*args, **kwargs), ctx, steps, iterators=function.streams)

    def _function(self, kind: str, phase: str) -> tuple[PhaseFunction | None, Bounds]:
        functions = self._functions()
        return functions.of(kind).get(phase), functions.bounds

    def known_functions(self) -> Functions | None:
        """The functions of the phases; None where only a worker may build the agent."""
        return self._functions() if self.built else None

    def _functions(self) -> Functions:
        if self._made is None:
            agent = self.agent if self.factory is None else self._build(self.factory)
            inner = agent._functions() if isinstance(agent, ExtendedAgent) else Functions(self._phase_functions(agent))
            # What was given here lies over what a factory's own agent has.
            self._made = Functions(
                inner.phases,
                {**inner.fallbacks, **self._mapped(agent, self._fallbacks)},
                {**inner.compensations, **self._mapped(agent, self._compensations)},
                bounds_over(inner.bounds, self._max_steps, self._until, agent),
                inner.options,
            )
        return self._made

    def _phase_functions(self, agent: Any) -> dict[str, PhaseFunction]:
        if isinstance(self._phases, Mapping):
            return self._mapped(agent, self._phases)
        return phased(agent, self._phases, self._inject)

    def _mapped(self, agent: Any, targets: Targets) -> dict[str, PhaseFunction]:
        return {name: mapped(agent, name, target, self._inject) for name, target in targets.items()}

    def _build(self, factory: Callable[[], Any]) -> Any:
        agent = factory()
        if agent is None:
            raise LaunchError(f"the factory `{function_name(factory)}` returned None, not an agent")
        return agent

    def _copy(self) -> Self:
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        return copy

    def travelling(self, sources: Mapping[str, str] | None = None) -> Self:
        """A copy as it goes to a worker, with neither options (they may hold a client) nor what was made of it here.

        ``sources``: the text of files that the worker may not have, by file name, for its tracebacks.
        """
        copy = self._copy()
        copy.options = {}
        copy._made = None
        if sources:
            copy.__dict__["__phasenb_sources__"] = sources
        return copy

    def anew(self) -> Self:
        """A copy for one attempt, which shares nothing that the agent keeps in itself. Raises LaunchError for an agent
        that can't be copied and has no factory.
        """
        copy = self.travelling()
        try:
            copy.__dict__.update(deepcopy({**vars(copy), "factory": None}), factory=self.factory)
        except Exception as error:  # of a person's object, whatever it is
            raise LaunchError(
                f"the agent {self.name!r} is built anew for each attempt, and can't be copied ({type(error).__name__}: "
                f"{error}): give a factory that makes it: pn.ExtendedAgent(factory=make_agent)"
            ) from error
        return copy

    def __getstate__(self) -> dict[str, Any]:
        return vars(self.travelling())

    def __setstate__(self, state: dict[str, Any]) -> None:
        sources: Mapping[str, str] = state.pop("__phasenb_sources__", {})
        for filename, text in sources.items():
            if filename in _shipped or filename not in linecache.cache:  # where the code was made, all of it is known
                _shipped.add(filename)
                # No mtime: linecache.checkcache keeps it, so that a traceback shows the lines that really ran.
                linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        # Code that an earlier release packed lies in stores, and knows neither of the two.
        self.__dict__.update({"_fallbacks": {}, "_compensations": {}, **state})

    def __dir__(self) -> list[str]:
        """The public names alone: what completion shows."""
        return sorted(self._PUBLIC)

    if not TYPE_CHECKING:  # a checker knows that there is no such attribute

        def __getattr__(self, name: str) -> Any:
            raise NoSuchName(f"{type(self).__name__} {vars(self).get('name', '')!r}", name, self._instead(name))

    def _instead(self, name: str) -> str:
        return suggestion(name, self._PUBLIC)

    def __repr__(self) -> str:
        if not self.built:
            return f"{type(self).__name__}({self.name!r}, from a factory)"
        told = " -> ".join(f"{phase}: {_signature(function)}" for phase, function in self._functions().phases.items())
        return f"{type(self).__name__}({self.name!r}, {told or 'no phases yet'})"


class OwnOutput(Mapping[str, Any]):
    """``values`` with the output of ``phase`` in it, None where there is none. Looks up only what is asked for."""

    def __init__(self, values: Mapping[str, Any], phase: str) -> None:
        self._values = values
        self._phase = phase

    def __getitem__(self, name: str) -> Any:
        return None if name == self._phase and name not in self._values else self._values[name]

    def __contains__(self, name: object) -> bool:
        return name == self._phase or name in self._values

    def __iter__(self) -> Iterator[str]:
        yield from self._values
        if self._phase not in self._values:
            yield self._phase

    def __len__(self) -> int:
        return len(self._values) + (self._phase not in self._values)


def _specs(functions: Mapping[str, PhaseFunction]) -> dict[str, FunctionSpec]:
    return {phase: function.arguments.spec(function.filled) for phase, function in functions.items()}


def _checked_inject(names: Sequence[str]) -> tuple[str, ...]:
    found = (names,) if isinstance(names, str) else tuple(names)
    for name in found:
        if name not in INJECTED:
            raise LaunchError(f"inject= names {name!r}: phasenb fills {' and '.join(INJECTED)}", argument="inject")
    return found


def _name_of(agent: Any) -> str:
    name = getattr(agent, "name", None)
    if isinstance(name, str) and name:
        return name
    return function_name(agent) if callable(agent) and hasattr(agent, "__name__") else type(agent).__name__


def _signature(function: PhaseFunction) -> str:
    arguments = function.arguments
    names = [*arguments.required, *(f"{name}=..." for name in arguments.optional), *(["**"] if arguments.open else [])]
    return f"{arguments.name}({', '.join(names)})"
