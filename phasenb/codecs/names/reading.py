"""Reading what a notebook's code and values were written as, by the reader's own names.

Rules: a name is the reader's own object. Where that is another thing than the one of then (another kind, or fields of
which none is shared), or can't hold the value any more, it is the definition beside the value, with one warning. A
task's ``__main__`` adopts definitions; a notebook's is left as it is.
"""

from __future__ import annotations

import builtins
import io
import pickle
import warnings
import zlib
from collections.abc import Collection
from contextlib import suppress
from types import ModuleType
from typing import Any, BinaryIO

from phasenb.codecs.names import marks
from phasenb.codecs.names.home import Home, current
from phasenb.codecs.names.shapes import Defaults, missing, shape
from phasenb.codecs.names.tail import LOOKED_UP, Tail, read_tail

_SPOKEN = {"pydantic": "pydantic model", "attrs": "attrs class", "tuple": "named tuple"}
_PICKLE = b"\x80"  # begins definitions that an earlier release did not pack


class Loader(pickle.Unpickler):
    """``by_name``: whether code is the reader's own where it has the name; a task's code comes as it is.

    ``distrusted``: names of which the reader's own are not used.
    """

    def __init__(
        self, file: BinaryIO, home: Home, tail: Tail, *, by_name: bool = True, distrusted: Collection[str] = ()
    ) -> None:
        super().__init__(file)
        self._home = home
        self._tail = tail
        self._by_name = by_name
        self.distrusted = distrusted if isinstance(distrusted, set) else set(distrusted)
        self._names = home.names if home.adopts else {"__name__": "__main__", "__builtins__": builtins}
        self._blobs = list(tail.blobs) if by_name else []
        self._defined: dict[str, Any] = {}
        self._fresh: dict[int, Any] = {}  # made by this load and not filled yet
        self._made: set[str] = set()
        self._added: dict[Any, Defaults] = {}

    def find_class(self, module: str, name: str, /) -> Any:
        if module == "__main__":
            return self.named(name)
        if module == marks.__name__:
            return getattr(self, name)
        return super().find_class(module, name)

    # --- what marks stand for --------------------------------------------------------------------------------------

    def main_names(self) -> dict[str, Any]:
        return self._names

    def make(self, name: str | None, ident: str | None, build: Any, arguments: tuple[Any, ...]) -> Any:
        found = self._own(name, inherited=False) if name and self._by_name else None
        if found is None and ident is not None:
            found = self._home.with_id(ident)
        if found is not None:
            return found
        made = build(*arguments)
        self._fresh[id(made)] = made
        if ident is not None:
            self._home.remember(ident, made)
            if name and not self._home.adopts:
                self._home.foreign[made] = name
        if name and "." not in name:
            self._made.add(name)
            self._names.setdefault(name, made)
        return made

    def begin(self, made: Any, own: Any, fill: Any) -> Any:
        """``fill``, which has filled in the first part of ``made``."""
        if id(made) in self._fresh:
            fill(made, own)
        return fill

    def fill(self, made: Any, state: tuple[Any, Any, dict[str, Any]]) -> None:
        if self._fresh.pop(id(made), None) is None:
            return
        fill, own, names = state
        for name, value in names.items():
            self._names.setdefault(name, value)
        fill(made, own)

    def named(self, name: str) -> Any:
        """Raises AttributeError, in words, for a name that is nowhere."""
        found = self._own(name, inherited=True)
        if found is None:
            found = self._definition(name)
        if found is None:
            found = find_spare(self._home, name)
        if found is None:
            raise AttributeError(f"this needs `{name}`, which __main__ does not have: run its cell first")
        return found

    # --- names ---------------------------------------------------------------------------------------------------

    def _own(self, name: str, *, inherited: bool) -> Any:
        """The reader's own object of that name, where it may be used. Not ``inherited``: of a class only what it holds
        itself, as a definition of ``P.__init__`` is not ``object``'s.
        """
        first = name.partition(".")[0]
        if first in self.distrusted or first in self._made:
            return None
        found = self._home.find(name)
        if not inherited and "." in name:
            owner, _, last = name.rpartition(".")
            holder = self._home.find(owner)
            found = vars(holder).get(last) if isinstance(holder, type) else None
            if isinstance(found, staticmethod | classmethod):
                found = found.__func__
        then = self._tail.shapes.get(name)
        if found is None or then is None:
            return found
        defaults = missing(then, found)
        if defaults is not None:
            if defaults:
                self._added[found] = defaults
            return found
        self.distrusted.add(first)
        what = _SPOKEN.get(then[0], then[0])
        _warn(f"`{name}` of this notebook is not the {what} that this value was made with: it comes with its own")
        return None

    def complete(self) -> None:
        """Give what was loaded the fields that its classes have got since, by their defaults."""
        for made in self.memo.copy().values() if self._added else ():
            for name, default in self._added.get(type(made), {}).items():
                if not hasattr(made, name):
                    object.__setattr__(made, name, default())

    def _definition(self, name: str) -> Any:
        """What the tail has for a name, loaded with all that stands beside it there."""
        if name not in self._defined:
            with self._home.lock:
                for blob in [each for each in self._blobs if name in each[0]]:
                    self._blobs.remove(blob)
                    self._defined.update(self._nested(blob[1]))
        return self._defined.get(name)

    def _nested(self, data: bytes) -> dict[str, Any]:
        loader = Loader(io.BytesIO(data), self._home, self._tail, distrusted=self.distrusted)
        loader._names = self._names
        loaded: dict[str, Any] = loader.load()
        return loaded


def read_value(file: BinaryIO) -> Any:
    """The value that ``file`` has. Raises what unpickling raises."""
    if not file.seekable():
        file = io.BytesIO(file.read())
    home, tail = current(), read_tail(file)
    try:
        return _loaded(file, home, tail)
    except Exception as error:
        known = [name for name in sorted(tail.shapes) if home.find(name) is not None]
        changed = [name for name in known if shape(home.find(name)) != tuple(tail.shapes[name])]
        for names in (*([each] for each in changed), changed, known):  # as few as can be
            file.seek(0)
            first = {name.partition(".")[0] for name in names}
            try:
                found = _loaded(file, home, tail, first)
            except Exception:  # noqa: S112 - the first error is told, where no way leads to the value
                continue
            why = f"{type(error).__name__}: {error}"
            _warn(f"`{', '.join(names)}` of this notebook can't hold this value ({why}): it comes with its own")
            return found
        raise


def _loaded(file: BinaryIO, home: Home, tail: Tail, distrusted: Collection[str] = ()) -> Any:
    loader = Loader(file, home, tail, distrusted=distrusted)
    value = loader.load()
    loader.complete()
    return value


def read_code(data: bytes) -> Any:
    """What ``data`` is, in the home that counts here. Raises what unpickling raises."""
    home, file = current(), io.BytesIO(data)
    tail = read_tail(file)
    if home.keep_code is not None:
        home.keep_code(data)
    loaded = Loader(file, home, tail, by_name=False).load()
    home.spare = [blob for blob in tail.blobs if blob[0][0] != LOOKED_UP]
    for names, definition in tail.blobs:
        if names[0] == LOOKED_UP:
            with suppress(Exception):  # of a module that is not there: who asks for the name finds none
                _adopt(home, definition)
    return loaded


def find_spare(home: Home, name: str) -> Any:
    """A definition that came with a task's code and that the code does not name; None where there is none."""
    first = name.partition(".")[0]
    with home.lock:
        for blob in [each for each in home.spare if first in each[0]]:
            home.spare.remove(blob)
            _adopt(home, blob[1])
    return home.find(name)


def _adopt(home: Home, definition: bytes) -> None:
    data = definition if definition.startswith(_PICKLE) else zlib.decompress(definition)
    for name, value in Loader(io.BytesIO(data), home, Tail()).load().items():
        home.names.setdefault(name, value)


def give_spare(module: ModuleType, home: Home) -> None:
    """Have ``module``, which is ``home``'s, find spare definitions when somebody asks for them by name."""

    def find(name: str) -> Any:
        found = None if name.startswith("__") else find_spare(home, name)
        if found is None:
            raise AttributeError(f"module '__main__' has no attribute {name!r}")
        return found

    vars(module)["__getattr__"] = find  # PEP 562


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=2)
