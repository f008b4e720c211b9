"""What a launch must satisfy before anything runs: every argument is filled, every input is taken.

Pure: an agent's spec and the names of the inputs go in, a LaunchError comes out that names the function, the argument
and the nearest name there is. A misspelt input is told of before the argument that it leaves empty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches

from phasenb.dto.agent_spec import AgentSpec, FunctionSpec
from phasenb.errors import LaunchError

_LISTED = 30  # names in one sentence
CONTEXT, PHASE = "ctx", "phase"  # the arguments that phasenb gives itself


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name that was probably meant, if one is near."""
    close = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return close[0] if close else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """A question for who wrote ``name``; empty where no known name is near."""
    close = nearest(name, known)
    return f"did you mean `{close}`?" if close else ""


def check_launch(spec: AgentSpec, inputs: Collection[str]) -> None:
    """Raises LaunchError where ``spec`` can't be launched with inputs of these names.

    A fallback and a compensation find what their phase's function finds, and the phase's own output (or None).
    """
    _check_phases(spec)
    beside = _beside(spec)
    for kind, others in beside.items():
        _check_beside(spec, kind, others)
    functions = [spec.functions[phase] for phase in spec.phases]
    functions += [function for others in beside.values() for function in others.values()]
    takes = {argument: function.name for function in functions for argument in (*function.required, *function.optional)}
    phases = frozenset(spec.phases)
    for name in inputs:
        _check_input(spec, functions, takes, phases, name)
    earlier: dict[str, None] = {}
    for phase in spec.phases:
        _check_filled(spec, phase, inputs, earlier)
        earlier[phase] = None


def check_going_on(spec: AgentSpec, phases: Sequence[str], start: str, inputs: Collection[str]) -> None:
    """Raises LaunchError where ``spec`` can't run a task with these phases and inputs on from the phase ``start``."""
    first = phases.index(start)
    earlier = dict.fromkeys(phases[:first])
    for phase in phases[first:]:
        if phase not in spec.functions:
            raise LaunchError(
                f"{spec.name!r} has no phase `{phase}`, which the task has still to run "
                f"(it has {', '.join(spec.functions) or 'none'}).",
                argument=phase,
                nearest=nearest(phase, spec.functions),
            )
        _check_filled(spec, phase, inputs, earlier)
        earlier[phase] = None


def _check_filled(spec: AgentSpec, phase: str, inputs: Collection[str], earlier: Mapping[str, None]) -> None:
    """Every argument of the phase's function, and of those beside it, has a value when it runs."""
    _check_arguments(spec, spec.functions[phase], f"phase {phase}", inputs, earlier)
    for kind, others in _beside(spec).items():
        if phase in others:
            _check_arguments(spec, others[phase], f"{kind} of {phase}", inputs, earlier, own=phase)


def _beside(spec: AgentSpec) -> dict[str, Mapping[str, FunctionSpec]]:
    return {"fallback": spec.fallbacks, "compensation": spec.compensations}


def check_named_phases(option: str, names: Iterable[str], phases: Collection[str]) -> None:
    """Raises LaunchError where the option ``option`` names a phase that is none of ``phases``."""
    known = frozenset(phases)
    for name in names:
        if name not in known:
            raise LaunchError(
                f"the option `{option}` names {name!r}, which is no phase (there are {', '.join(phases)}).",
                argument=option,
                nearest=nearest(name, phases),
            )


def _check_phases(spec: AgentSpec) -> None:
    if not spec.phases:
        raise LaunchError(f"{spec.name!r} has no phases: decorate a function with @flow.phase(...) or one of the three")
    seen: set[str] = set()
    for phase in spec.phases:
        if phase in seen:
            raise LaunchError(f"{spec.name!r} has the phase `{phase}` twice")
        if phase == CONTEXT:
            raise LaunchError("a phase can't be named `ctx`: that is the context's name", argument=CONTEXT)
        if phase not in spec.functions:
            raise LaunchError(
                f"the phase `{phase}` of {spec.name!r} has no function",
                argument=phase,
                nearest=nearest(phase, set(spec.functions) - set(spec.phases)),
            )
        seen.add(phase)


def _check_beside(spec: AgentSpec, kind: str, functions: Mapping[str, FunctionSpec]) -> None:
    for phase, function in functions.items():
        if phase not in spec.phases:
            raise LaunchError(
                f"`{function.name}` is the {kind} of the phase `{phase}`, which {spec.name!r} does not have "
                f"(it has {', '.join(spec.phases)}).",
                function=function.name,
                argument=phase,
                nearest=nearest(phase, spec.phases),
            )


def _check_input(
    spec: AgentSpec, functions: list[FunctionSpec], takes: Mapping[str, str], phases: Collection[str], name: str
) -> None:
    if name == CONTEXT and name not in takes:  # an agent may have an argument of its own that is called so
        raise LaunchError("an input can't be named `ctx`: phasenb gives the context itself", argument=name)
    if name in phases:
        users = [function.name for function in functions if name in (*function.required, *function.optional)]
        raise LaunchError(
            f"the input `{name}` has the name of a phase, whose output goes by it"
            + (f" (in `{users[0]}`)" if users else "")
            + ": give the input another name",
            function=users[0] if users else None,
            argument=name,
        )
    if name in takes or any(function.open for function in functions):
        return
    if name == PHASE:
        raise LaunchError(
            "no phase takes the input `phase`: phasenb gives it itself. An agent whose own argument it is takes it "
            "with pn.ExtendedAgent(agent, inject=())",
            argument=name,
        )
    wanted = takes.keys() - phases
    close = nearest(name, wanted)
    told = f"they take {_listed(wanted)}" if wanted else "they take no inputs"
    raise LaunchError(
        f"no phase takes the input `{name}` ({_listed({function.name for function in functions})}: {told}).",
        function=takes[close] if close else functions[0].name,
        argument=name,
        nearest=close,
    )


def _check_arguments(
    spec: AgentSpec,
    function: FunctionSpec,
    role: str,
    inputs: Collection[str],
    outputs: Mapping[str, None],
    own: str | None = None,
) -> None:
    """``outputs``, and ``own``: the phases whose output there may be when the function runs; ``role``: what it is."""
    for name in function.required:
        if name in inputs or name in outputs or name == own:
            continue
        known = {*inputs, *outputs} | ({own} if own else set())
        there = f" (there are {_listed(known)})" if known else ""
        if role == f"phase {name}":
            problem = f"asks for `{name}`, its own output, which is not there yet"
        elif name in spec.phases:
            problem = f"asks for `{name}`, the output of a phase that comes later"
        else:
            problem = f"needs the input `{name}`: launch({name}=...)"
        raise LaunchError(
            f"`{function.name}` ({role}) {problem}{there}.",
            function=function.name,
            argument=name,
            nearest=nearest(name, known),
        )


def _listed(names: Collection[str]) -> str:
    told = [f"`{name}`" for name in sorted(names)]
    left = len(told) - _LISTED
    return ", ".join([*told[:_LISTED], f"{left:,} more"] if left > 0 else told)
