"""What an agent says of itself. Apart from dto.launch: who only defines a workflow loads no options and policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from phasenb.dto.base import Frozen, PhaseName


class FunctionSpec(Frozen):
    """The arguments of one phase's function. ``open``: it takes ``**kwargs``, so any input is welcome."""

    name: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    open: bool = False


class AgentSpec(Frozen):
    """What an agent says of itself, so that a launch can be checked without running its code.

    ``options``: those that its phases bring themselves, {option: {phase: value}}; a launch's own lie over them.
    ``functions`` has one entry for each of ``phases``; ``fallbacks`` and ``compensations`` one for each phase that has
    a function of that kind. ``inputs``: the JSON schema of the launch inputs, where an executor was asked.
    """

    name: str
    phases: tuple[PhaseName, ...]
    functions: dict[str, FunctionSpec]
    fallbacks: dict[str, FunctionSpec] = Field(default_factory=dict)
    compensations: dict[str, FunctionSpec] = Field(default_factory=dict)
    inputs: dict[str, Any] | None = None
    options: dict[str, dict[PhaseName, Any]] = Field(default_factory=dict)

    def under(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The launch options ``given``, laid over those of the phases: one value for all is for all of them."""
        return {**given, **{option: laid_over(own, given.get(option)) for option, own in self.options.items()}}


def laid_over(own: Any, said: Any) -> Any:
    """What holds where phases have values of their own: one value for all is for all of them, else it is by phase."""
    if said is None:
        return own
    return {**own, **said} if isinstance(said, Mapping) and isinstance(own, Mapping) else said
