"""tqdm's bars in a phase, of every kind: told to the attempt's Bars when they are opened and closed.

Rules:

* All of tqdm's classes, and those that libraries derive, are made by ``tqdm.std.tqdm.__init__`` and end by ``close``:
  both public, and all that is wrapped here. So also bars of code that imported tqdm long ago are seen. What tqdm draws
  it draws as ever: lines (executors.lines).
* A bar that its maker disabled is none. Where no attempt runs the wrapped methods do nothing more than their own.
* tqdm is never imported by this. Who has no hook of its own for imports (a notebook's process) waits for tqdm's with
  ``BarsToCome``.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from phasenb.core.bars import Bars

MODULE = "tqdm.std"
_OURS = "_phasenb_bars"


def watch_bars(find: Callable[[], Bars | None], *, pageless: bool = False) -> Callable[[], None] | None:
    """Have the bars of this process told to whom ``find`` gives, from now on; what undoes that.

    ``pageless``: no page is there to draw a bar of tqdm.notebook; its last state is written as a line, as others are.
    None where tqdm is not loaded, or is watched already.
    """
    tqdm: Any = getattr(sys.modules.get(MODULE), "tqdm", None)
    if tqdm is None or hasattr(tqdm, _OURS):
        return None
    begin, close = tqdm.__init__, tqdm.close

    @functools.wraps(begin)
    def begun(bar: Any, *args: Any, **kwargs: Any) -> None:
        begin(bar, *args, **kwargs)
        bars = None if bar.disable else find()
        if bars is not None:
            setattr(bar, _OURS, bars)
            bars.opened(bar)

    @functools.wraps(close)
    def closed(bar: Any) -> Any:
        bars = None if getattr(bar, "disable", True) else getattr(bar, _OURS, None)
        if bars is not None:
            bars.closed(bar)
            if pageless and bar.leave and hasattr(bar, "container"):
                sys.stderr.write(f"{bar}\n")
        return close(bar)

    def undo() -> None:
        tqdm.__init__, tqdm.close = begin, close
        delattr(tqdm, _OURS)

    setattr(tqdm, _OURS, None)
    tqdm.__init__, tqdm.close = begun, closed
    return undo


class BarsToCome:
    """While it is in ``sys.meta_path``: calls ``loaded()`` when tqdm was loaded, before anybody has made a bar.

    It leaves that list at ``end`` only: other threads may go through it while this one imports.
    """

    def __init__(self, loaded: Callable[[], object]) -> None:
        self._loaded = loaded
        self._waits = False

    def wait(self) -> None:
        if MODULE not in sys.modules:
            self._waits = True
            if self not in sys.meta_path:
                sys.meta_path.insert(0, self)

    def end(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Tqdm's own spec, as the other finders have it; its loader says once that it is done."""
        if fullname != MODULE or not self._waits:
            return None
        self._waits = False
        spec = importlib.util.find_spec(fullname)
        loader: Any = None if spec is None else spec.loader
        if loader is not None:

            def exec_module(module: ModuleType) -> None:
                del loader.exec_module
                loader.exec_module(module)
                self._loaded()

            loader.exec_module = exec_module
        return spec
