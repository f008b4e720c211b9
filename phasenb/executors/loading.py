"""Loading agents where phases run, never on a host's loop: code is unpickled here, registered agents imported.

Rules: an agent is built anew for each attempt, from its factory or its pickle, so that no attempt sees what another one
left in it. What can't be loaded is a LaunchError that names what is missing and where it was looked for.
"""

from __future__ import annotations

import base64
import platform
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from phasenb.codecs import decode
from phasenb.codecs.names.reading import read_code
from phasenb.codecs.objects import ObjectFolder
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.dto.values import Json, as_reference
from phasenb.errors import LaunchError, PhasenbError

# No path: the message goes to whoever launched, and where this machine has its Python is none of a stranger's business.
_WORKER = f"the worker's Python {platform.python_version()}"


def load_agent(agent: str | None, code: Json, folder: ObjectFolder) -> ExtendedAgent:
    """The registered ``agent`` (``"module:attribute"``), or what ``code`` is, for one attempt. Raises LaunchError."""
    return _unpickled(code, folder) if agent is None else _registered(agent).anew()


class Values(Mapping[str, Any]):
    """Launch inputs and earlier outputs by name, decoded when they are asked for."""

    def __init__(self, encoded: Mapping[str, Json], folder: ObjectFolder) -> None:
        self._encoded = encoded
        self._folder = folder

    def __getitem__(self, name: str) -> Any:
        encoded = self._encoded[name]
        try:
            return decode(encoded, self._folder)
        except PhasenbError:
            raise
        except Exception as error:
            raise _not_loaded(f"the value `{name}`", error) from error

    def __contains__(self, name: object) -> bool:
        # Mapping's own would decode the value to see whether it is there.
        return name in self._encoded

    def __iter__(self) -> Iterator[str]:
        return iter(self._encoded)

    def __len__(self) -> int:
        return len(self._encoded)


def describe_failure(error: Exception) -> PhasenbError:
    """Why an agent could not say what it is, as one of phasenb's errors."""
    if isinstance(error, PhasenbError):
        return error
    return LaunchError(f"the agent can't be made: {type(error).__name__}: {error}")


def _registered(target: str) -> ExtendedAgent:
    try:
        return ExtendedAgent.registered(target)
    except PhasenbError:
        raise
    except Exception as error:  # a module runs when it is imported, and may raise anything
        raise LaunchError(
            f"the registered agent {target!r} can't be imported: {type(error).__name__}: {error}"
        ) from error


def _unpickled(code: Json, folder: ObjectFolder) -> ExtendedAgent:
    reference = as_reference(code)
    data = _decoded(code) if reference is None else folder.get(reference.hash)
    try:
        loaded = read_code(data)
    except Exception as error:
        raise _not_loaded("the code of this task", error) from error
    return ExtendedAgent.of(loaded)


@lru_cache(maxsize=4)
def _decoded(code: str) -> bytes:
    """Each attempt of a task asks."""
    return base64.b64decode(code)


def _not_loaded(what: str, error: Exception) -> LaunchError:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return LaunchError(
            f"{what} needs the module `{error.name}`, which {_WORKER} can't import: it must be installed in the "
            "environment that the notebook runs in, or lie beside the notebook",
            argument=error.name,
        )
    if isinstance(error, ImportError | AttributeError):
        advice = "what it uses must be importable from the notebook's environment, in the same version"
    else:  # of the code that makes it again, in a class or a library
        advice = "unpickling it raised this: `pickle.loads(pickle.dumps(...))` of it in the notebook shows where"
    return LaunchError(f"{what} can't be loaded by {_WORKER}: {type(error).__name__}: {error}; {advice}")
