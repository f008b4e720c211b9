"""Which modules a process has, and how what a phase did to them is put back.

Rules:

* A module that a phase made up, removed or put in the place of another retires the worker: others may have taken it up.
  The ones that were there are put back all the same, for the task's later attempts.
* What an import adds to ``sys.modules`` stands at its end, as a dict keeps the order. So an import costs nothing here,
  however many modules there are. Some have no spec (Cython's, ``six.moves``): only by the import are they known.
"""

from __future__ import annotations

import sys
from itertools import takewhile
from types import ModuleType


class LoadedModules:
    """Of one process."""

    def __init__(self) -> None:
        self._known: dict[str, ModuleType] = {}

    def take(self) -> None:
        self._known = dict(sys.modules)

    def put_back(self) -> bool:
        """False where it was not as taken, but for what imports added."""
        if sys.modules == self._known:
            return True
        came = {name: module for name, module in sys.modules.items() if name not in self._known}
        changed = {name: module for name, module in self._known.items() if sys.modules.get(name) is not module}
        sys.modules.update(changed)
        self._known.update(came)
        return not changed and all(_was_imported(name, module) for name, module in came.items())

    def newest(self) -> str:
        return next(reversed(sys.modules))

    def imported(self, module: str | None, newest: str) -> None:
        """An import of ``module`` ended, and no other code ran since there was ``newest``. None: it failed."""
        if newest not in sys.modules:
            return
        came = list(takewhile(lambda name: name != newest, reversed(sys.modules)))
        for name in came if module is None else (module, *came):
            self._known.setdefault(name, sys.modules[name])


def _was_imported(name: str, module: object) -> bool:
    spec = getattr(module, "__spec__", None)
    return spec is not None and spec.name == name and spec.loader is not None
