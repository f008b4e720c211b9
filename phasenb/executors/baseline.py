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

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.machinery import ExtensionFileLoader, ModuleSpec, SourceFileLoader, SourcelessFileLoader
from types import ModuleType
from typing import Any

from phasenb.executors.library_state import LIBRARIES
from phasenb.executors.module_state import LoadedModules
from phasenb.executors.probes import Probe, merged, same
from phasenb.executors.process_state import PROBES

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """When an import begins: the newest module, and what each probe takes."""

    newest: str
    state: dict[str, Any]


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
        self._modules = LoadedModules()
        self.stays: set[str] = set()

    def take(self) -> None:
        self._taken = {name: probe.take() for name, probe in self._probes.items() if probe.there}
        self._modules.take()

    def put_back(self) -> None:
        """Make the process as it was."""
        for name, probe in self._probes.items():
            if probe.there:
                self._put_back(name, partial(self._put_probe_back, probe))
        self._put_back("modules", self._modules.put_back)

    def _put_back(self, name: str, put_back: Callable[[], bool | None]) -> None:
        try:
            fine = put_back() is not False
        except Exception:  # whatever a phase did to what is asked
            fine = False
        if not fine:
            self.stays.add(name)

    def _put_probe_back(self, probe: Probe) -> bool | None:
        if probe.name not in self._taken:  # loaded by an import that was not seen
            self._taken[probe.name] = probe.take()
            if probe.at_import:  # the phase may have changed it since
                self.stays.add(probe.name)
        return probe.put_back(self._taken[probe.name])

    # --- imports -------------------------------------------------------------------------------------------------

    def seen(self) -> Seen:
        """How it is now, as far as imports set it up."""
        return Seen(self._modules.newest(), self._looked())

    def _looked(self) -> dict[str, Any]:
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

    def loaded(self, module: str, before: Seen) -> None:
        """``module`` was loaded, in an import that began with what was seen ``before``: its state is its default."""
        for probe in self._of_module.get(module, ()):
            if probe.name not in self._taken:
                self._look(probe, self._taken, before.state)

    def imported(self, module: str | None, before: Seen, alone: bool) -> None:
        """An import ended that began with what was seen ``before``, of ``module`` or of one that could not be loaded.
        ``alone``: no other thread of the phase ran.
        """
        if alone:
            self._modules.imported(module, before.newest)
        for name, after in self._looked().items():
            if name not in before.state or same(before.state[name], after):
                continue
            if not (alone and self._took_up(self._probes[name], before.state[name], after)):
                self.stays.add(name)

    def _took_up(self, probe: Probe, before: Any, after: Any) -> bool:
        """Whether what an import made of it may stay for other tasks."""
        taken = self._taken[probe.name]
        wanted = self._taken[probe.name] = merged(taken, before, after)
        return probe.may_stay(taken, wanted, before)


class _Local(threading.local):
    before: Seen | None = None  # what was seen when this thread's outermost import began


class ImportWatch:
    """First in ``sys.meta_path``: tells ``baseline`` of imports of modules that are files. ``alone()``: whether no
    other thread of a phase runs. ``when_loaded``: what to call when a module of a name was loaded.

    The other finders find them. The loader that they give is the module's own, and has its ``exec_module`` exchanged
    until it is called, so that whoever looks at a spec, a module or its loader sees what is there without this.
    """

    def __init__(
        self, baseline: Baseline, alone: Callable[[], bool], when_loaded: Mapping[str, Callable[[], object]]
    ) -> None:
        self._when_loaded = when_loaded
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
        before = self._local.before = self._baseline.seen() if outer is None else outer
        loaded = None
        try:
            loader.exec_module(module)
            loaded = module.__name__
            if (call := self._when_loaded.get(loaded)) is not None:
                _with_care(call)
            self._baseline.loaded(loaded, before)
        finally:
            self._local.before = outer
            if outer is None:  # also where it failed: what it imported itself may be loaded
                self._baseline.imported(loaded, before, alone)


def _with_care(call: Callable[[], object]) -> None:
    """What we do with a library must not keep a phase from importing it: it may be one that we don't know."""
    try:
        call()
    except Exception:
        log.debug("a library was loaded that can't be watched", exc_info=True)


_OF_ONE_MODULE = (SourceFileLoader, SourcelessFileLoader, ExtensionFileLoader)


def _after(finders: Iterable[Any], one: object) -> list[Any]:
    known = list(finders)
    return known[known.index(one) + 1 :] if one in known else []
