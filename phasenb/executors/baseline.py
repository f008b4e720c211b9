"""What each attempt in a worker begins with: the process as it was at first, and what imports set up since.

A module is loaded once in a process, so what it sets up when it is imported (filters of warnings, options, a logger)
happens once. An attempt that imports it later finds it loaded, and must find that too. So:

* What changed during an import belongs to the baseline. What a phase's own code changes is put back after its attempt.
* It is for the task alone that imports, and the worker is retired after it, but for what each user of a process adds to
  and what holds nothing of a task (a probe's ``may_stay``: filters of warnings, loggers without output).
* What changed while another thread of the phase ran may be that thread's. It is put back, and the worker is retired.
* What a library has right after its own load is its default. So nobody keeps a list of defaults here.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from importlib.machinery import ExtensionFileLoader, ModuleSpec, SourceFileLoader, SourcelessFileLoader
from types import ModuleType
from typing import Any

from phasenb.executors.library_state import LIBRARIES
from phasenb.executors.probes import Probe, merged, same
from phasenb.executors.process_state import PROBES


class Baseline:
    """Of one process. ``stays`` names what could not be put back, or is only for the task that runs."""

    def __init__(self, probes: Sequence[Probe] = (*PROBES, *LIBRARIES)) -> None:
        self._probes = {probe.name: probe for probe in probes}
        self._at_import = [probe for probe in probes if probe.at_import]
        self._of_module: dict[str, list[Probe]] = {}
        for probe in probes:
            if probe.module is not None:
                self._of_module.setdefault(probe.module, []).append(probe)
        self._taken: dict[str, Any] = {}
        self.stays: set[str] = set()

    def take(self) -> None:
        self._taken = {name: probe.take() for name, probe in self._probes.items() if probe.there}

    def put_back(self) -> None:
        """Make the process as it was."""
        for name, probe in self._probes.items():
            if not probe.there:
                continue
            try:
                if name not in self._taken:  # loaded by an import that was not seen
                    self._taken[name] = probe.take()
                    if probe.at_import:  # the phase may have changed it since
                        self.stays.add(name)
                if probe.put_back(self._taken[name]) is False:
                    self.stays.add(name)
            except Exception:  # whatever a phase did to what the probe asks
                self.stays.add(name)

    # --- imports -------------------------------------------------------------------------------------------------

    def begun(self, module: str) -> dict[str, Any]:
        """What is seen before ``module`` is loaded: by then it stands in ``sys.modules``."""
        before = self._seen()
        before.get("modules", {}).pop(module, None)
        return before

    def _seen(self) -> dict[str, Any]:
        """How it is now, as far as imports set it up."""
        found: dict[str, Any] = {}
        for probe in self._at_import:
            if probe.name in self._taken:
                self._look(probe, found)
        return found

    def _look(self, probe: Probe, *into: dict[str, Any]) -> None:
        try:
            now = probe.take()
        except Exception:  # whatever a phase did to what the probe asks: its import goes on all the same
            self.stays.add(probe.name)
        else:
            for each in into:
                each[probe.name] = now

    def loaded(self, module: str, before: dict[str, Any]) -> None:
        """``module`` was loaded, in an import that began with what was seen ``before``: its state is its default."""
        for probe in self._of_module.get(module, ()):
            if probe.name not in self._taken:
                self._look(probe, self._taken, before)

    def imported(self, before: dict[str, Any], alone: bool) -> None:
        """An import ended that began with what was seen ``before``. ``alone``: no other thread of the phase ran."""
        for name, after in self._seen().items():
            probe = self._probes[name]
            if name not in before or same(before[name], after):
                continue
            if alone:
                taken, wanted = self._taken[name], merged(self._taken[name], before[name], after)
                self._taken[name] = wanted
                if not probe.may_stay(taken, wanted, before[name]):
                    self.stays.add(name)
            elif not probe.tells_imports:
                self.stays.add(name)


class _Local(threading.local):
    before: dict[str, Any] | None = None  # what was seen when this thread's outermost import began


class ImportWatch:
    """First in ``sys.meta_path``: tells ``baseline`` of imports of modules that are files. ``alone()``: whether no
    other thread of a phase runs.

    The other finders find them. The loader that they give is the module's own, and has its ``exec_module`` exchanged
    until it is called, so that whoever looks at a spec, a module or its loader sees what is there without this.
    """

    def __init__(self, baseline: Baseline, alone: Callable[[], bool]) -> None:
        self._baseline = baseline
        self._alone = alone
        self._local = _Local()

    def install(self) -> None:
        sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        for finder in _after(sys.meta_path, self):
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if find is None else find(fullname, path, target)
            if spec is not None:
                if type(spec.loader) in _OF_ONE_MODULE:
                    self._watch(spec.loader)
                return spec
        return None

    def _watch(self, loader: Any) -> None:
        def exec_module(module: ModuleType) -> None:
            del loader.exec_module
            self._run(loader, module)

        loader.exec_module = exec_module

    def _run(self, loader: Any, module: ModuleType) -> None:
        outer = self._local.before
        alone = self._alone()  # now: a thread that the import starts is the library's
        before = self._local.before = self._baseline.begun(module.__name__) if outer is None else outer
        try:
            loader.exec_module(module)
            self._baseline.loaded(module.__name__, before)
        finally:
            self._local.before = outer
            if outer is None:  # also where it failed: what it imported itself may be loaded
                self._baseline.imported(before, alone)


_OF_ONE_MODULE = (SourceFileLoader, SourcelessFileLoader, ExtensionFileLoader)


def _after(finders: Iterable[Any], one: object) -> list[Any]:
    known = list(finders)
    return known[known.index(one) + 1 :] if one in known else []
