"""FileGuard: whether the files of an open store are still those that it was opened with.

SQLite holds three files: the store, and beside it -wal and -shm. Once one of them has another inode, a host that goes
on writes where nobody will read, and two hosts that hold different ones damage the store. So each use asks first.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from phasenb.errors import StoreUnavailable
from phasenb.store.location import Location

_SUFFIXES = ("", "-wal", "-shm")
_FIRST_LOCK, _LOCKS = 120, 9
_GO_ON = "restart this host (the Jupyter server; without one, the kernel or script) to go on with what is there now"


class FileGuard:
    """Make it while a connection holds the files open; call it from any thread. Raises StoreUnavailable."""

    def __init__(self, location: Location) -> None:
        assert location.path is not None
        self._shown = location.shown
        self._paths = [f"{location.path}{suffix}" for suffix in _SUFFIXES]
        self._opened = [_file(path) for path in self._paths]
        self._size = self._changed = 0
        self._cut = False
        self._lock = threading.Lock()  # an older stat, compared with the size of a newer one, would look like a cut
        self._note(os.stat(self._paths[0]))  # noqa: PTH116 - asked at each commit: a Path costs more than the stat

    def __call__(self) -> None:
        with self._lock:
            self._check()

    def _check(self) -> None:
        for path, opened in zip(self._paths, self._opened, strict=True):
            found = _stat(path)
            if opened is not None and (found is None or (found.st_ino, found.st_dev) != opened):
                which = "" if path == self._paths[0] else f" {os.path.basename(path)}"  # noqa: PTH119
                problem = f"its file{which} was removed or replaced while it was in use: put it back, or {_GO_ON}"
                raise StoreUnavailable(self._shown, problem)
            if path == self._paths[0] and found is not None:
                self._note(found)

    def _note(self, found: os.stat_result) -> None:
        # In WAL mode nobody makes the file shorter but VACUUM. What a writer made of one that was cut is of no use.
        self._cut = self._cut or found.st_size < self._size
        if self._cut:
            problem = f"its file was cut short while it was in use: put a backup in its place, or {_GO_ON}"
            raise StoreUnavailable(self._shown, problem)
        self._size, self._changed = found.st_size, found.st_mtime_ns

    def whole(self) -> bool:
        """Whether what is in the open -wal may be brought into the store: nothing was taken away, or only -wal and
        -shm were and nobody has opened the store since. No commit of this host is lost then.
        """
        with self._lock:
            return self._whole()

    def only_read_since(self) -> bool:
        """Whether -wal and -shm were taken away, and whoever opened the store since has written nothing. Ask it again
        while nobody has it open: what is in the open -wal may be brought into the store then.
        """
        with self._lock:
            store, wal, index = (_stat(path) for path in self._paths)
            same = store is not None and (store.st_ino, store.st_dev) == self._opened[0]
            if self._cut or not same or store is None or wal is None:
                return False
            if index is None or (index.st_ino, index.st_dev) == self._opened[2]:
                return False
            return store.st_mtime_ns == self._changed and store.st_size == self._size and wal.st_size == 0

    @contextmanager
    def nobody_else(self) -> Iterator[None]:
        """Within: nobody has the store open by the -shm of now, nor can. Raises OSError where somebody has: a reader
        would go on with pages that are no more. Not by a connection: one of this process would have the -shm that was
        taken away. The bytes, eight locks and the one that each opener holds shared: sqlite.org/walformat.html, 2.3.
        """
        with open(self._paths[2], "r+b") as index:  # noqa: PTH123 - as the others here
            fcntl.lockf(index, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCKS, _FIRST_LOCK)
            yield

    def _whole(self) -> bool:
        store = _stat(self._paths[0])
        if self._cut or store is None or (store.st_ino, store.st_dev) != self._opened[0]:
            return False
        beside = [(_file(path), opened) for path, opened in zip(self._paths[1:], self._opened[1:], strict=True)]
        if all(found == opened for found, opened in beside):
            return store.st_size >= self._size
        return store.st_mtime_ns == self._changed and all(found in (None, opened) for found, opened in beside)


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116
    except OSError:
        return None


def _file(path: str) -> tuple[int, int] | None:
    found = _stat(path)
    return None if found is None else (found.st_ino, found.st_dev)
