"""The environment variables of launchers, where phases run (core.variables has the rules).

A host reads a launch's variables from its owner's objects and gives them to a worker with the launcher's place; the
worker has them until another launcher's take their place. Neither side stores, logs or reports them.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from phasenb.codecs.objects import ObjectFolder
from phasenb.core.variables import SCREEN, AtStart, at_start, environment_of, is_at_start
from phasenb.errors import LaunchError, UnknownObject

MAXIMUM_BYTES = 4_194_304
_KEPT = 64  # launchers' environments; a session has a few


@dataclass(frozen=True, slots=True)
class Variables:
    """What goes along of a launcher's environment. ``name``: of the object that ``data`` is, JSON text."""

    name: str
    data: bytes
    start: AtStart


class VariableSets:
    """The variables of the newest launches. ``url_of(owner)``: the folder of an owner's objects."""

    def __init__(self, url_of: Callable[[str], str]) -> None:
        self._url_of = url_of
        self._known: OrderedDict[tuple[str, str], Variables] = OrderedDict()

    def known(self, owner: str, name: str) -> Variables | None:
        """Those of a launch, where they were read already."""
        found = self._known.get((owner, name))
        if found is not None:
            self._known.move_to_end((owner, name))
        return found

    async def read(self, owner: str, name: str) -> Variables:
        """Raises LaunchError where they are not there any more, or are no variables."""
        found = self.known(owner, name)
        if found is None:
            found = await asyncio.to_thread(_read, self._url_of(owner), name)
            self._known[owner, name] = found
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return found


def _read(url: str, name: str) -> Variables:
    try:
        with ObjectFolder(url).open(name) as file:
            data = file.read(MAXIMUM_BYTES + 1)
    except UnknownObject:
        raise LaunchError(
            f"the environment variables of this launch ({name[:15]}...) are gone: launch it again"
        ) from None
    if len(data) > MAXIMUM_BYTES:
        raise LaunchError(f"the environment variables of this launch have more than {MAXIMUM_BYTES:,} bytes")
    return Variables(name, data, at_start(parsed(data)))


def parsed(data: bytes) -> dict[str, str]:
    """The variables that a launcher stored. Raises LaunchError for what can be none."""
    try:
        told = json.loads(data)
    except ValueError:
        told = None
    if not isinstance(told, dict) or not all(map(_is_variable, told.items())):
        raise LaunchError("the environment variables of this launch are no JSON object of texts", argument="variables")
    return told


def _is_variable(item: tuple[str, Any]) -> bool:
    name, value = item
    return isinstance(value, str) and name != "" and "=" not in name and "\0" not in name + value


def started_with(start: AtStart, host: Mapping[str, str]) -> dict[str, str]:
    """The environment that a worker's process is started with."""
    others = {name: value for name, value in host.items() if not is_at_start(name) and name not in SCREEN}
    return {**others, **dict(start), "MPLBACKEND": "Agg"}  # it has no windows to draw in


def become(own: Mapping[str, str], data: bytes) -> None:
    """Give this process the environment of a launcher; without ``data`` its own one, with which it was started."""
    wanted = environment_of(own, parsed(data)) if data else own
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    for name, value in wanted.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
