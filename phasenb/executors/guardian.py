"""The guardian of a worker: its parent, and the end of all that it started.

``python -I -S guardian.py LINE HOST_PID SILENCE_S PATHS FD,FD,... WORD...`` starts the worker, with the numbers of
those inherited descriptors as its last words, and with this process's environment, stdout and stderr.

Rules:

* It does nothing for which it could have to wait, and runs nobody's code: a phase that holds its interpreter in C, or a
  host that is frozen, can't keep it from its work. It imports little, as a worker's start waits for it.
* Where the host has ended, however that came, or was silent for SILENCE_S (it is frozen, and its tasks are soon
  another's), the worker is killed with all that it started.
* Linux: what a worker started stays below this process, daemons too (PR_SET_CHILD_SUBREAPER), and is killed when the
  worker has ended. The worker itself is an ordinary parent: no stranger is its child. Elsewhere its process group goes
  with it, and where it is killed its descendants.
* It tells of the worker's end when nothing is left of it, and ends itself.

The line is a socket. By it the host sends a WORD each time that it shows that it lives: when that was, on the clock
that the processes of a machine share. This process answers STARTED with the pid or NOT_STARTED with the errno, and
SILENT where it ends the worker since the host showed no life (a host that thaws hears of it), and
ENDED with the returncode (as in ``subprocess``) and the most memory that the worker held.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import struct
import sys
from time import monotonic

WORD = struct.Struct("!d")
ANSWER = struct.Struct("!ciq")  # kind, number, and at an end ru_maxrss in bytes: getrusage(2)
FOR_WORKER = "PHASENB_FOR_WORKER_"  # begins the names of the variables that are the worker's, and not this process's
STARTED, NOT_STARTED, SILENT, ENDED = b"+", b"-", b"!", b"."
_READ_BYTES = 65_536
_LOOK_S = 1.0  # at whether the host is there still, where the kernel doesn't tell
_LEFT_S = 5.0  # for what was left behind and killed: a process that waits for a lost disk may not end for hours
_PR_SET_CHILD_SUBREAPER = 36
_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024  # its unit
_CHILDREN = f"/proc/self/task/{os.getpid()}/children"


class Silence:
    """Whether a host was silent for ``limit_s``, by the times at which it spoke.

    A word that is read late counts from when it was said: this process may have had no turn. One that was said too late
    undoes no silence: where host, guardian and worker thaw together, another host may have the tasks by then.
    """

    def __init__(self, limit_s: float, now: float) -> None:
        self.too_long = False
        self._limit_s = limit_s
        self._spoke_at = now
        self._data = b""

    def hear(self, data: bytes) -> None:
        self._data += data
        whole = len(self._data) - len(self._data) % WORD.size
        for (said_at,) in WORD.iter_unpack(self._data[:whole]):
            self.look(said_at)
            self._spoke_at = max(self._spoke_at, said_at)
        self._data = self._data[whole:]

    def look(self, now: float) -> None:
        """All that was said before ``now`` has been heard."""
        self.too_long = self.too_long or now - self._spoke_at >= self._limit_s

    def left_s(self, now: float) -> float:
        return max(0.0, self._spoke_at + self._limit_s - now)


class Guardian:
    """``run`` returns when nothing is left to guard. ``paths``: where to import from what is needed at an end only."""

    def __init__(self, line: int, host: int, silence_s: float, paths: list[str]) -> None:
        os.set_inheritable(line, False)  # what a worker holds open would not end with this process
        os.set_blocking(line, False)
        self._line = line
        self._host = host
        self._silence = Silence(silence_s, monotonic())
        self._paths = paths
        self._worker = 0
        self._returncode: int | None = None
        self._peak_bytes = 0
        self._gone = False

    def run(self, words: list[str], passed: list[int]) -> None:
        adopt_orphans()
        woken = _woken_by_children()
        host = _watched(self._host)
        try:
            self._worker = _spawned(words, passed)
        except (OSError, ValueError) as error:
            self._answer(NOT_STARTED, getattr(error, "errno", None) or errno.EINVAL)
            return
        self._answer(STARTED, self._worker)
        while self._returncode is None:
            if self._gone:
                self._kill_worker()
                _wait([woken], _LOOK_S)
            else:
                self._attend(woken, host)
            self._bury()
        self._end_what_is_left(woken)
        self._answer(ENDED, self._returncode, self._peak_bytes)

    # --- the host --------------------------------------------------------------------------------------------------

    def _attend(self, woken: int, host: int | None) -> None:
        """Wait for what happens next, and see whether the host is there."""
        left_s = self._silence.left_s(monotonic())
        if host is None:
            ready = _wait([woken, self._line], min(left_s, _LOOK_S))
        else:
            ready = _wait([woken, self._line, host], left_s)
        now = monotonic()
        self._hear()
        self._silence.look(now)
        if self._silence.too_long:
            self._answer(SILENT, 0)
        self._gone = self._gone or self._silence.too_long or host in ready or os.getppid() != self._host

    def _hear(self) -> None:
        while not self._gone:
            try:
                data = os.read(self._line, _READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            self._silence.hear(data)
            self._gone = not data

    def _answer(self, kind: bytes, number: int, peak_bytes: int = 0) -> None:
        try:
            os.write(self._line, ANSWER.pack(kind, number, peak_bytes))
        except OSError:  # nobody listens any more
            self._gone = True

    # --- the worker ------------------------------------------------------------------------------------------------

    def _kill_worker(self) -> None:
        if os.path.exists(_CHILDREN):  # noqa: PTH110 - pathlib is slow to import
            _kill(-self._worker)  # its group; what else it started is a child here by the time its end is told
            return
        sys.path.extend(self._paths)
        self._paths = []
        from phasenb.executors.process_tree import kill_tree

        kill_tree(self._worker)

    def _bury(self) -> None:
        """Take note of what has ended."""
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._worker:
                self._returncode = os.waitstatus_to_exitcode(status)
                self._peak_bytes = used.ru_maxrss * _MAXRSS_BYTES

    def _end_what_is_left(self, woken: int) -> None:
        """Kill what the worker left behind, and what that leaves behind."""
        if not os.path.exists(_CHILDREN):  # noqa: PTH110
            _kill(-self._worker)
        deadline = monotonic() + _LEFT_S
        while sum(map(_kill, _children())) and monotonic() < deadline:
            _wait([woken], _LOOK_S)
            self._bury()


def adopt_orphans() -> None:
    """Have what descends from this process stay below it, and be its child when its parent ends (Linux: prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _wait(events: list[int], seconds: float) -> list[int]:
    """The first of them only wakes."""
    ready, _, _ = select.select(events, [], [], None if seconds == float("inf") else seconds)
    if events[0] in ready:
        os.read(events[0], _READ_BYTES)
    return ready


def _children() -> list[int]:
    """Those of this process, as the kernel tells them (Linux); elsewhere none are seen."""
    try:
        with open(_CHILDREN, "rb") as file:  # noqa: PTH123
            return list(map(int, file.read().split()))
    except OSError:
        return []


def _spawned(words: list[str], passed: list[int]) -> int:
    try:
        return os.posix_spawn(
            words[0],
            [*words, *map(str, passed)],
            {name.removeprefix(FOR_WORKER): os.environ[name] for name in os.environ if name.startswith(FOR_WORKER)},
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # as Python ignores them, and a program would begin so
        )
    finally:
        for fd in passed:
            os.close(fd)


def _kill(pid: int) -> bool:
    """Whether it is there, and its end is to be awaited: what another user runs (sudo) is not."""
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _woken_by_children() -> int:
    """A descriptor that can be read when a child has ended."""
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    return woken


def _watched(pid: int) -> int | None:
    """A descriptor that can be read when a process has ended (Linux 5.3). Its line to here may outlive it: a child
    that it forked has that as well.
    """
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


if __name__ == "__main__":
    _line, _host, _silence_s, _paths, _passed, *_words = sys.argv[1:]
    Guardian(int(_line), int(_host), float(_silence_s), _paths.split(os.pathsep)).run(
        _words, [int(fd) for fd in _passed.split(",")]
    )
