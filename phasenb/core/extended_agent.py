"""ExtendedAgent: any agent, as it is, made to run phase by phase.

What an agent may be (the first that fits counts):

1. with ``phases={"research": "method", "planning": function}``: each phase has its own method or function;
2. a function, method or other callable without the methods below; sync or async, a generator or not;
3. an object with ``process()``, ``run()`` or ``stream()``, in this order;
4. an object whose ``task`` has ``process()``;
5. an object that can be called; a class with one of these methods is made without arguments, in the worker.

Rules: an agent that takes a ``phase`` argument runs once for each phase (``phases=`` names them; the default three
otherwise); one that does not is a task of one phase, ``implementation``. Arguments are filled by name (core.arguments),
progress and result are told as core.steps says, and outputs are returned raw: encoding is the executor's. Nothing of an
agent's own state is carried from one phase to the next: what a later phase needs is in an earlier one's output.
A factory is called where phases run, never where the launch is made.
"""

from __future__ import annotations

import inspect
import linecache
import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar, Self

from phasenb.core.arguments import Arguments, function_name, read_arguments
from phasenb.core.context import Cancelled, Context
from phasenb.core.driving import drive
from phasenb.core.launch_check import CONTEXT, nearest
from phasenb.dto.launch import AgentSpec
from phasenb.dto.phase import DEFAULT_PHASES
from phasenb.errors import LaunchError

Function = Callable[..., Any]
Phases = Mapping[str, "str | Function"] | Sequence[str]

OPTIONS = (
    "name", "key", "if_exists", "client", "session", "show", "executor", "recovery", "timeouts", "labels", "priority",
)  # fmt: skip
_PHASE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")  # dto.base.PhaseName
_METHODS = ("process", "run", "stream")
_STREAMS = ("process", "stream")  # what these return is taken for steps, even where it is no generator

Launcher = Callable[["ExtendedAgent", Mapping[str, Any], Mapping[str, Any]], Any]
Finder = Callable[["ExtendedAgent", Mapping[str, Any]], Any]
_shipped: set[str] = set()  # the files whose lines came with an agent
_hooks: dict[str, Callable[..., Any]] = {}


def set_launcher(launcher: Launcher) -> None:
    """What ``agent.launch(**inputs)`` calls: ``launcher(agent, inputs, options)``. The core knows no client."""
    _hooks["launch"] = launcher


def set_finder(finder: Finder) -> None:
    """What ``agent.last()`` calls: ``finder(agent, options)``."""
    _hooks["last"] = finder


class ExtendedAgent:
    """An agent that runs phase by phase: see the module's rules.

    ``phases`` maps phase names to methods or functions, or names the phases of an agent that takes a ``phase``
    argument. ``factory``, without arguments, makes an agent that can't be pickled; it is called in the worker.
    Raises LaunchError for an agent that none of the rules fits.
    """

    fills: ClassVar[tuple[str, ...]] = (CONTEXT, "phase")  # the arguments that phasenb itself fills

    def __init__(
        self,
        agent: Any = None,
        *,
        factory: Callable[[], Any] | None = None,
        phases: Phases | None = None,
        name: str | None = None,
    ) -> None:
        if (agent is not None and factory is not None) or (
            agent is None and factory is None and not isinstance(phases, Mapping)
        ):
            raise LaunchError("give an agent, or factory=: a function without arguments that makes one")
        if inspect.isclass(agent) and _is_agent_class(agent):
            agent, factory = None, agent
        self.name: str = name or _name_of(agent if factory is None else factory)
        self.agent = agent
        self.factory = factory
        self.options: dict[str, Any] = {}
        self._phases = phases
        self._made: dict[str, PhaseFunction] | None = None
        for phase in phases or ():
            check_phase_name(phase)
        if factory is None:
            self._functions()

    @classmethod
    def of(cls, agent: Any) -> ExtendedAgent:
        """``agent`` as an ExtendedAgent; itself where it already is one."""
        return agent if isinstance(agent, ExtendedAgent) else ExtendedAgent(agent)

    @classmethod
    def registered(cls, target: str) -> ExtendedAgent:
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
        return tuple(self._functions())

    def spec(self) -> AgentSpec:
        """What this agent says of itself. Builds an agent that is given as a factory."""
        functions = self._functions()
        return AgentSpec(
            name=self.name,
            phases=self.phases,
            functions={phase: function.arguments.spec(self.fills) for phase, function in functions.items()},
        )

    def run_phase(self, phase: str, ctx: Context, values: Mapping[str, Any]) -> Any:
        """Run one phase to its end, here, and return its raw output.

        ``values`` holds launch inputs and earlier outputs by name; only what the function asks for is looked up.
        Raises what the phase raises, Cancelled, and LaunchError for an unknown phase or an argument without a value.
        """
        functions = self._functions()
        if phase not in functions:
            raise LaunchError(
                f"{self.name!r} has no phase `{phase}` (it has {', '.join(functions) or 'none'}).",
                argument=phase,
                nearest=nearest(phase, functions),
            )
        if ctx.cancelled:
            raise Cancelled
        function = functions[phase]
        filled = {CONTEXT: ctx, "phase": phase} if "phase" in self.fills else {CONTEXT: ctx}
        args, kwargs = function.arguments.bind(filled, values)
        return drive(function.call(*args, **kwargs), ctx, iterators=function.streams)

    # --- launching -----------------------------------------------------------------------------------------------

    def with_options(self, **options: Any) -> Self:
        """A copy whose launches have these options; the agent itself stays as it is.

        Known: name, key, if_exists, client, session, show, executor, recovery, timeouts, labels, priority.
        Raises LaunchError for any other.
        """
        for option in options:
            if option not in OPTIONS:
                raise LaunchError(
                    f"there is no option `{option}` (there are {', '.join(OPTIONS)}).",
                    argument=option,
                    nearest=nearest(option, OPTIONS),
                )
        copy = self._copy()
        copy.options = {**self.options, **options}
        return copy

    def launch(self, /, **inputs: Any) -> Any:
        """Launch a task; every keyword is an input. Returns its TaskHandle at once.

        Raises LaunchError for inputs that don't fit, and what the client raises.
        """
        return _hook("launch")(self, inputs, self.options)

    def last(self) -> Any:
        """The TaskHandle of this agent's newest task in this session, or None where there is none."""
        return _hook("last")(self, self.options)

    # --- inside --------------------------------------------------------------------------------------------------

    def _functions(self) -> dict[str, PhaseFunction]:
        if self._made is None:
            agent = self.agent if self.factory is None else self._build(self.factory)
            if isinstance(agent, ExtendedAgent):
                self._made = agent._functions()
            elif isinstance(self._phases, Mapping):
                self._made = {name: _mapped(agent, name, target) for name, target in self._phases.items()}
            else:
                self._made = _phased(agent, self._phases)
        return self._made

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

    def __getstate__(self) -> dict[str, Any]:
        return vars(self.travelling())

    def __setstate__(self, state: dict[str, Any]) -> None:
        sources: Mapping[str, str] = state.pop("__phasenb_sources__", {})
        for filename, text in sources.items():
            if filename in _shipped or filename not in linecache.cache:  # where the code was made, all of it is known
                _shipped.add(filename)
                # No mtime: linecache.checkcache keeps it, so that a traceback shows the lines that really ran.
                linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
        self.__dict__.update(state)

    def __repr__(self) -> str:
        if not self.built:
            return f"{type(self).__name__}({self.name!r}, from a factory)"
        told = " -> ".join(f"{phase}: {_signature(function)}" for phase, function in self._functions().items())
        return f"{type(self).__name__}({self.name!r}, {told or 'no phases yet'})"


class PhaseFunction:
    """A phase's callable. ``streams``: an iterator that it returns is driven even if it is no generator."""

    __slots__ = ("arguments", "call", "streams")

    def __init__(self, call: Function, *, streams: bool = False) -> None:
        self.call = call
        self.streams = streams
        self.arguments: Arguments = read_arguments(call)


def _is_agent_class(cls: type) -> bool:
    """Whether its instances are agents. (Every class can be called, by its own type's ``__call__``.)"""
    return any(name in vars(base) for base in cls.__mro__ for name in (*_METHODS, "__call__"))


def _mapped(agent: Any, phase: str, target: str | Function) -> PhaseFunction:
    if callable(target):
        return PhaseFunction(target)
    method = getattr(agent, target, None)
    if not callable(method):
        raise LaunchError(
            f"the phase `{phase}` is mapped to `{target}`, which {_described(agent)} does not have.",
            argument=target,
            nearest=nearest(target, [name for name in dir(agent) if not name.startswith("_")]),
        )
    return PhaseFunction(method, streams=target in _STREAMS)


def _phased(agent: Any, names: Sequence[str] | None) -> dict[str, PhaseFunction]:
    function = _entry(agent)
    if function.arguments.takes("phase"):
        return dict.fromkeys(names or DEFAULT_PHASES, function)
    if names is None:
        return {"implementation": function}
    if len(names) == 1:
        return {names[0]: function}
    raise LaunchError(
        f"`{function.arguments.name}` takes no `phase` argument, so it can't run {len(names)} phases: give one, or map "
        'phases to functions with phases={"research": ..., ...}',
        function=function.arguments.name,
        argument="phase",
    )


def _entry(agent: Any) -> PhaseFunction:
    """The callable that an agent without mapped phases is run by."""
    if inspect.isroutine(agent):
        return PhaseFunction(agent)
    for name in _METHODS:
        method = getattr(agent, name, None)
        if callable(method):
            return PhaseFunction(method, streams=name in _STREAMS)
    process = getattr(getattr(agent, "task", None), "process", None)
    if callable(process):
        return PhaseFunction(process, streams=True)
    if callable(agent):
        return PhaseFunction(agent)
    raise LaunchError(
        f"{_described(agent)} is no agent: it can't be called and has no process(), run(), stream() or task.process(); "
        'map its methods with ExtendedAgent(agent, phases={"research": "method", ...})'
    )


def check_phase_name(phase: Any) -> None:
    """Raises LaunchError for what can't be a phase's name."""
    if not isinstance(phase, str) or _PHASE_NAME.fullmatch(phase) is None:
        raise LaunchError(
            f"{phase!r} can't be a phase's name: letters, digits and _ (at most 64), as an argument is named by it"
        )


def _hook(name: str) -> Callable[..., Any]:
    try:
        return _hooks[name]
    except KeyError:
        raise LaunchError("nothing here can launch: `import phasenb` sets the launcher") from None


def _name_of(agent: Any) -> str:
    name = getattr(agent, "name", None)
    if isinstance(name, str) and name:
        return name
    return function_name(agent) if callable(agent) and hasattr(agent, "__name__") else type(agent).__name__


def _described(agent: Any) -> str:
    return f"{agent!r:.80}" if isinstance(agent, str | int | float) else f"a {type(agent).__qualname__}"


def _signature(function: PhaseFunction) -> str:
    arguments = function.arguments
    names = [*arguments.required, *(f"{name}=..." for name in arguments.optional), *(["**"] if arguments.open else [])]
    return f"{arguments.name}({', '.join(names)})"
