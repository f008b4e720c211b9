"""Probes: how a part of the process is, how it is put back, and what an import made of it.

Rules:

* What a probe takes is plain: a value, a mapping, a set, or ``Entries``. So two pure functions say what an import made
  of it (``merged``), and whether that only added something (``only_adds``).
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


@dataclass(frozen=True, slots=True)
class Probe:
    """``put_back(taken)``: False where it can't. ``module``: what must be loaded. ``at_import``: whether imports may
    set it up. ``shared``: whether what they add is for every task; else only for the task that imports.
    """

    name: str
    take: Callable[[], Any]
    put_back: Callable[[Any], bool | None]
    module: str | None = None
    at_import: bool = True
    shared: bool = True

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


def unchanged(name: str, take: Callable[[], Any], *, at_import: bool = False) -> Probe:
    """Of what can't be put back."""
    return Probe(name, take, lambda taken: bool(take() == taken), at_import=at_import)


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

    return Probe(module, take, put_back, module)


def reset(module: str, put: Callable[[Any], Any]) -> Probe:
    """Of what a module has anew after each attempt: ``put(module)``."""

    def put_back(taken: None) -> None:
        put(sys.modules[module])

    return Probe(f"{module}, anew", lambda: None, put_back, module, at_import=False)


def merged(taken: Any, before: Any, after: Any) -> Any:
    """``taken``, with what changed from ``before`` to ``after``."""
    if same(before, after):
        return taken
    if same(taken, before):
        return after
    if isinstance(before, dict) and isinstance(after, dict):
        gone = before.keys() - after.keys()
        changed = {name: value for name, value in after.items() if not (name in before and same(before[name], value))}
        inside = {
            name: merged(taken[name], before[name], value) if name in taken and name in before else value
            for name, value in changed.items()
        }
        return {**{name: value for name, value in taken.items() if name not in gone}, **inside}
    if isinstance(before, set) and isinstance(after, set):
        return (taken | (after - before)) - (before - after)
    if isinstance(before, Entries) and isinstance(after, Entries):
        kept = [entry for entry in taken if entry in after or entry not in before]
        old = next((at for at, entry in enumerate(after) if entry in before), len(after))
        first, last = after[:old], [entry for entry in after[old:] if entry not in before]
        return Entries((*first, *(entry for entry in kept if entry not in first and entry not in last), *last))
    return after


def only_adds(before: Any, after: Any) -> bool:
    """Whether all of ``before`` is as it was in ``after``."""
    if isinstance(before, dict) and isinstance(after, dict):
        return all(name in after and only_adds(value, after[name]) for name, value in before.items())
    if isinstance(before, set) and isinstance(after, set):
        return before <= after
    if isinstance(before, Entries) and isinstance(after, Entries):
        return all(entry in after for entry in before)
    return same(before, after)


def same(one: Any, other: Any) -> bool:
    try:
        return one is other or bool(one == other)
    except Exception:  # an array, say: whether it is equal has no single answer
        return False
