"""Whose names: the notebook's ``__main__``, a task's own, or one beside the notebook's for an inline attempt.

Rules: a notebook's ``__main__`` is never written to; a task's is a copy, which adopts definitions that come with
values. A class that has no name has an id, and who loads it keeps the id, so that it is the same class on its way back.
"""

from __future__ import annotations

import builtins
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

Blobs = Sequence[tuple[tuple[str, ...], bytes]]


class Home:
    """A ``__main__`` and the classes that belong to it.

    ``module``: a task's own; None for whatever the process's ``__main__`` is. ``behind``: the notebook's, for an inline
    attempt, whose classes are the notebook's own. ``keep_code``: is given the bytes of the code that is loaded.
    ``spare``: definitions that are loaded when they are asked for.
    """

    def __init__(
        self,
        module: ModuleType | None = None,
        behind: Home | None = None,
        keep_code: Callable[[bytes], None] | None = None,
    ) -> None:
        self._module = module
        self.behind = behind
        self.keep_code = keep_code
        self.adopts = module is not None
        self.spare: list[tuple[tuple[str, ...], bytes]] = []
        # A class that came with a value, where the notebook has none of the name: its name.
        self.foreign: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._ids: WeakKeyDictionary[Any, str] = WeakKeyDictionary() if behind is None else behind._ids
        self._by_id: WeakValueDictionary[str, Any] = WeakValueDictionary() if behind is None else behind._by_id
        self._kept: list[Any] = []  # a task's classes stay the same ones for as long as it runs
        self.lock = threading.RLock()

    @property
    def names(self) -> dict[str, Any]:
        """The variables of this ``__main__``."""
        return vars(self._module or sys.modules["__main__"])

    def all_names(self) -> tuple[dict[str, Any], ...]:
        return (self.names,) if self.behind is None else (self.names, self.behind.names)

    def find(self, path: str) -> Any:
        """What the dotted ``path`` leads to, or None."""
        for names in self.all_names():
            found = at(names, path)
            if found is not None:
                return found
        return None

    def name_of(self, value: Any) -> str | None:
        """The name that leads to exactly this object, or None."""
        try:
            if value.__module__ != "__main__":
                return None
            path = getattr(value, "__qualname__", None) or value.__name__
        except AttributeError:
            return None
        if type(path) is str:
            for names in self.all_names():
                if at(names, path) is value:
                    return path
        return None

    # --- ids of classes ------------------------------------------------------------------------------------------

    def id_of(self, cls: Any) -> str:
        with self.lock:
            found = self._ids.get(cls)
            if found is None:
                found = uuid.uuid4().hex
                self.remember(found, cls)
            return found

    def with_id(self, ident: str) -> Any:
        return self._by_id.get(ident)

    def remember(self, ident: str, cls: Any) -> None:
        with self.lock:
            self._ids[cls] = ident
            self._by_id[ident] = cls
            if self.adopts:
                self._kept.append(cls)


def at(names: dict[str, Any], path: str) -> Any:
    """What the dotted ``path`` leads to from ``names``, or None."""
    if "." not in path:
        return names.get(path)
    first, *rest = path.split(".")
    found = names.get(first)
    for part in rest:
        try:
            found = getattr(found, part, None)
        except Exception:  # a property or metaclass of a person's: what it raises says only that nothing is there
            return None
    return found


def empty_main(name: str = "__main__") -> ModuleType:
    module = ModuleType(name)
    del module.__doc__  # a script's own may come with its code
    vars(module)["__builtins__"] = builtins
    return module


# --- which one counts ------------------------------------------------------------------------------------------------

_of_process = [Home()]
_of_context: ContextVar[Home | None] = ContextVar("phasenb_home", default=None)


def current() -> Home:
    """The home of the code that runs here."""
    return _of_context.get() or _of_process[-1]


@contextmanager
def process_home(home: Home) -> Iterator[None]:
    """Within: ``home`` counts in the whole process. Of a worker, which runs one attempt at a time."""
    _of_process.append(home)
    try:
        yield
    finally:
        _of_process.remove(home)


@contextmanager
def inline_home() -> Iterator[None]:
    """Within: this context's code has a ``__main__`` of its own beside the notebook's, which is not installed."""
    token = _of_context.set(Home(empty_main(), behind=_of_process[-1]))
    try:
        yield
    finally:
        _of_context.reset(token)
