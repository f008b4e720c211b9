"""What the phases of an agent say of themselves: how often they are tried, how long an attempt may take."""

from __future__ import annotations

from pydantic import ValidationError

from phasenb.dto.agent_spec import AgentSpec
from phasenb.dto.launch import RecoveryOptions
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
