"""Probes: how a part of the process is, how it is put back, and what an import made of it.

Rules:

* What a probe takes is plain: a value, a mapping, or ``Entries``. So two pure functions say what an import made of it
  (``merged``), and whether that only added something (``only_adds``).
* What an import made of it is for the task alone that imports, and its worker is retired. Only what a probe's
  ``may_stay`` allows is for every task of the worker: what each user of a process adds to, and holds nothing of a task.
* A probe of a module takes nothing before that module is loaded, and imports nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


class Entries(tuple[Any, ...]):
    """A list in which each user has entries of its own, such as ``sys.meta_path``."""

    __slots__ = ()


def never(taken: Any, wanted: Any, before: Any) -> bool:
    """A ``MayStay`` for what others would see."""
    return same(taken, wanted)


MayStay = Callable[[Any, Any, Any], bool]
"""``(taken, wanted, before)``: whether ``wanted``, which an import made of ``taken``, is for every task. ``before``
is how it was when the import began, with what the phase had set.
"""


@dataclass(frozen=True, slots=True)
class Probe:
    """``put_back(taken)``: False where it can't. ``module``: what must be loaded. ``at_import``: whether imports may
    set it up.
    """

    name: str
    take: Callable[[], Any]
    put_back: Callable[[Any], bool | None]
    module: str | None = None
    at_import: bool = True
    may_stay: MayStay = never

    @property
    def there(self) -> bool:
        return self.module is None or sys.modules.get(self.module) is not None


def pair(name: str, get: Callable[[], Any], put: Callable[[Any], Any], *, at_import: bool = True) -> Probe:
    """Of a getter and a setter."""

    def put_back(taken: Any) -> None:
        if get() != taken:
            put(taken)

    return Probe(name, get, put_back, at_import=at_import)


def attributes(module: Any, *names: str) -> Probe:
    """Of a module's variables that are there to be set."""

    def put_back(taken: Mapping[str, Any]) -> None:
        for name in names:
            if name in taken:
                setattr(module, name, taken[name])
            elif hasattr(module, name):
                delattr(module, name)

    def take() -> dict[str, Any]:
        return {name: getattr(module, name) for name in names if hasattr(module, name)}

    return Probe(module.__name__, take, put_back)


def unchanged(name: str, take: Callable[[], Any]) -> Probe:
    """Of what can't be put back, and no import sets up."""
    return Probe(name, take, lambda taken: bool(take() == taken), at_import=False)


def each_time(name: str, put: Callable[[], Any]) -> Probe:
    """Of what is made anew after each attempt, whatever it was before."""

    def put_back(taken: None) -> None:
        put()

    return Probe(name, lambda: None, put_back, at_import=False)


def of_module(module: str, get: Callable[[Any], Any], put: Callable[[Any, Any], Any]) -> Probe:
    """Of what a module keeps: ``get(module)``, ``put(module, taken)``."""

    def take() -> Any:
        return get(sys.modules[module])

    def put_back(taken: Any) -> None:
        if take() != taken:
            put(sys.modules[module], taken)

    return Probe(module, take, put_back, module, may_stay=additions)


def reset(module: str, put: Callable[[Any], Any]) -> Probe:
    """Of what a module has anew after each attempt: ``put(module)``."""

    def put_back(taken: None) -> None:
        put(sys.modules[module])

    return Probe(f"{module}, anew", lambda: None, put_back, module, at_import=False)


def merged(taken: Any, before: Any, after: Any) -> Any:
    """``taken``, with what changed from ``before`` to ``after``, and nothing else of ``before``."""
    if same(before, after):
        return taken
    if same(taken, before):
        return after
    if type(before) is not type(after) or not isinstance(after, dict | Entries):
        return after
    if type(taken) is not type(after):
        taken = type(after)()
    if isinstance(after, dict):
        found = {name: value for name, value in taken.items() if name in after or name not in before}
        for name, value in after.items():
            if name not in before:
                found[name] = value
            elif not same(before[name], value):
                found[name] = merged(taken.get(name), before[name], value)
        return found
    kept = [entry for entry in taken if entry in after or entry not in before]
    old = next((at for at, entry in enumerate(after) if entry in before), len(after))
    first, last = after[:old], [entry for entry in after[old:] if entry not in before]
    return Entries((*first, *(entry for entry in kept if entry not in first and entry not in last), *last))


def only_adds(before: Any, after: Any) -> bool:
    """Whether all of ``before`` is as it was in ``after``."""
    if isinstance(before, dict) and isinstance(after, dict):
        return all(name in after and only_adds(value, after[name]) for name, value in before.items())
    if isinstance(before, Entries) and isinstance(after, Entries):
        return all(entry in after for entry in before)
    return same(before, after)


def additions(taken: Any, wanted: Any, before: Any) -> bool:
    """A ``MayStay`` for what each user of a process adds to."""
    return only_adds(taken, wanted)


def same(one: Any, other: Any) -> bool:
    try:
        return one is other or bool(one == other)
    except Exception:  # an array, say: whether it is equal has no single answer
        return False
