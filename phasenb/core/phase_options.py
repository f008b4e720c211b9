"""What the phases of an agent say of themselves: how often they are tried, how long an attempt may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from phasenb.dto.agent_spec import AgentSpec
from phasenb.dto.launch import Launch, RecoveryOptions
from phasenb.dto.problems import problems
from phasenb.errors import LaunchError


def phase_options(spec: AgentSpec) -> RecoveryOptions:
    """Raises LaunchError for a value that is none."""
    said = {name: values for name, values in spec.options.items() if name in RecoveryOptions.model_fields}
    try:
        return RecoveryOptions.model_validate(said)
    except ValidationError as error:
        first = problems(error, RecoveryOptions, said)[0]
        option = str(first.path[0])
        raise LaunchError(
            f"a phase of {spec.name!r} has a {option} that is not valid: {first.told}", argument=option
        ) from None


def with_new_code(launch: Launch, spec: AgentSpec, phases: Sequence[str]) -> Launch:
    """A launch whose code was replaced by one that says ``spec``: what its phases say of themselves holds for them, and
    no more what the launch said of these. Raises LaunchError.
    """
    own, said = phase_options(spec), launch.options
    left = {name: _left(getattr(said, name), getattr(own, name), phases) for name in RecoveryOptions.model_fields}
    return launch.changed(phase_options=own, options=said.changed(**left))


def _left(said: Any, own: Mapping[str, Any] | None, phases: Sequence[str]) -> Any:
    if said is None or not own:
        return said
    by_phase = said if isinstance(said, Mapping) else dict.fromkeys(phases, said)
    return {phase: value for phase, value in by_phase.items() if phase not in own} or None
