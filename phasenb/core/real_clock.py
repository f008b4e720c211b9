"""The real clock, also where a phase has put another one in its place.

freezegun, and code that patches by hand, exchange what modules hold by name: ``time.monotonic``, ``datetime.datetime``,
and every module's own name for either. So no name of a module is a clock of ours: what reads one is a default of a
function, or an attribute of a class. time-machine changes the functions of ``time`` and ``datetime`` in place, but not
the system's own, which is asked here for the wall time.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from datetime import UTC, datetime

_CLOCK_REALTIME = 0  # clock_gettime(2); the same number on Linux and macOS


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


_libc = ctypes.CDLL(None)


def monotonic(*, _read: Callable[[], float] = time.monotonic) -> float:
    """Seconds that never jump, as ``time.monotonic``."""
    return _read()


def now(*, _kind: type[datetime] = datetime) -> datetime:
    """Wall time, UTC, aware."""
    read = _Timespec()
    _libc.clock_gettime(_CLOCK_REALTIME, ctypes.byref(read))
    return _kind.fromtimestamp(read.seconds + read.nanoseconds / 1e9, UTC)


def patched(*, _kind: type[datetime] = datetime, _read: Callable[[], float] = time.monotonic) -> bool:
    """Whether another clock stands in the real one's place now."""
    return datetime is not _kind or time.monotonic is not _read or abs(time.time() - now().timestamp()) > 1.0
