"""What a launch must satisfy before anything runs: every argument is filled, every input is taken.

Pure: an agent's spec and the names of the inputs go in, a LaunchError comes out that names the function, the argument
and the nearest name there is. A misspelt input is told of before the argument that it leaves empty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from phasenb.dto.launch import AgentSpec, FunctionSpec
from phasenb.errors import LaunchError

CONTEXT = "ctx"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name that was probably meant, if one is near."""
    close = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return close[0] if close else None


def check_launch(spec: AgentSpec, inputs: Collection[str]) -> None:
    """Raises LaunchError where ``spec`` can't be launched with inputs of these names."""
    _check_phases(spec)
    functions = [spec.functions[phase] for phase in spec.phases]
    for name in inputs:
        _check_input(spec, functions, name)
    for position, phase in enumerate(spec.phases):
        _check_arguments(spec, phase, inputs, spec.phases[:position])


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


def _check_input(spec: AgentSpec, functions: list[FunctionSpec], name: str) -> None:
    if name == CONTEXT:
        raise LaunchError("an input can't be named `ctx`: phasenb gives the context itself", argument=name)
    if name in spec.phases:
        users = [function.name for function in functions if name in (*function.required, *function.optional)]
        raise LaunchError(
            f"the input `{name}` has the name of a phase, whose output goes by it"
            + (f" (in `{users[0]}`)" if users else "")
            + ": give the input another name",
            function=users[0] if users else None,
            argument=name,
        )
    if any(function.open or name in function.required or name in function.optional for function in functions):
        return
    takes = {argument: function.name for function in functions for argument in (*function.required, *function.optional)}
    wanted = takes.keys() - set(spec.phases)
    close = nearest(name, wanted)
    told = f"they take {_listed(wanted)}" if wanted else "they take no inputs"
    raise LaunchError(
        f"no phase takes the input `{name}` ({_listed({function.name for function in functions})}: {told}).",
        function=takes[close] if close else functions[0].name,
        argument=name,
        nearest=close,
    )


def _check_arguments(spec: AgentSpec, phase: str, inputs: Collection[str], earlier: tuple[str, ...]) -> None:
    function = spec.functions[phase]
    for name in function.required:
        if name in inputs or name in earlier:
            continue
        if name == phase:
            problem = "its own output, which is not there yet"
        elif name in spec.phases:
            problem = "the output of a phase that comes later"
        else:
            problem = "which no input and no earlier phase provides"
        there = f" (there are {_listed({*inputs, *earlier})})" if inputs or earlier else " (there are no inputs)"
        raise LaunchError(
            f"`{function.name}` (phase {phase}) asks for `{name}`, {problem}{there}.",
            function=function.name,
            argument=name,
            nearest=nearest(name, {*inputs, *earlier}),
        )


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))
