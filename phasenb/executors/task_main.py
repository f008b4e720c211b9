"""A ``__main__`` for each attempt in a worker: what a notebook's code takes for its own module is its own.

Rules: it is put back afterwards, and nothing of it is left for the next attempt. A child that a phase starts without a
fork (spawn, forkserver, loky) runs ``pool_child`` as its ``__main__``, which finds the task's code in the file that
``PHASENB_TASK_CODE`` names. That file is the worker's, the same for all its attempts: a fork server that one attempt
started serves the next one too.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path

from phasenb.codecs.names.home import Home, empty_main, process_home
from phasenb.codecs.names.reading import give_spare, read_code

CODE_VARIABLE = "PHASENB_TASK_CODE"
_CHILD = "phasenb.executors.pool_child"


class TaskMains:
    """Those of one worker."""

    def __init__(self) -> None:
        self._file: int | None = None
        self._path = ""
        self._written = b""

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """Within: ``__main__`` is new and empty, until code is loaded into it."""
        module = empty_main()
        module.__spec__ = ModuleSpec(_CHILD, None)  # multiprocessing runs it in its children
        home = Home(module, keep_code=self._keep)
        give_spare(module, home)
        before = sys.modules["__main__"]
        sys.modules["__main__"] = module
        try:
            with process_home(home):
                yield
        finally:
            sys.modules["__main__"] = before

    def _keep(self, code: bytes) -> None:
        """Have children find ``code``."""
        if self._file is None:
            self._file, self._path = _open_file()
        if code != self._written:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, code, 0)
            self._written = code
        os.environ[CODE_VARIABLE] = self._path  # a task's end puts the environment back


def load_child() -> None:
    """In a child that a phase started: have its ``__main__`` be the task's."""
    module = sys.modules["__main__"]
    home = Home(module)
    give_spare(module, home)
    with process_home(home):
        read_code(Path(os.environ[CODE_VARIABLE]).read_bytes())


def _open_file() -> tuple[int, str]:
    """An open file and its path. In memory where that is possible: it is gone with the worker, however that ends."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("phasenb-code")
        return file, f"/proc/{os.getpid()}/fd/{file}"
    return tempfile.mkstemp(prefix="phasenb-code-")
