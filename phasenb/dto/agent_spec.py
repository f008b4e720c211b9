"""What an agent says of itself. Apart from dto.launch: who only defines a workflow loads no options and policies."""

from __future__ import annotations

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

    ``functions`` has one entry for each of ``phases``; ``fallbacks`` and ``compensations`` one for each phase that has
    a function of that kind. ``inputs``: the JSON schema of the launch inputs, where an executor was asked.
    """

    name: str
    phases: tuple[PhaseName, ...]
    functions: dict[str, FunctionSpec]
    fallbacks: dict[str, FunctionSpec] = Field(default_factory=dict)
    compensations: dict[str, FunctionSpec] = Field(default_factory=dict)
    inputs: dict[str, Any] | None = None
