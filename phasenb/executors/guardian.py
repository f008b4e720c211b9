"""The guardian of a host: the parent of its workers, and the end of all that they started.

``python -I -S guardian.py COMMANDS ANSWERS HOST_PID SILENCE_S [PATH ...]`` (inherited descriptors), one for each host.

Rules:

* It does nothing for which it could have to wait, and runs nobody's code: a phase that holds its interpreter in C, or a
  host that is frozen, can't keep it from its work. It imports little, as it starts before the first worker.
* Where a host has ended, however that came, or was silent for SILENCE_S (it is frozen, and its tasks are soon
  another's), its workers are killed with all that they started.
* Linux: what a worker started stays below it, daemons too (PR_SET_CHILD_SUBREAPER, in the worker as here). So whatever
  is a child here and no worker was left behind by one that is gone, and is killed. Elsewhere a worker's process group
  goes with it, and where it is killed its descendants.
* It ends when its host is gone and it has no children left.

A command is its length (4 bytes, big-endian) and its body: empty (the host lives), or what to start: the words, with a
NUL between them, two NULs, and the environment in the same form. With it come five descriptors: three whose numbers are
added to the words, and the process's stdout and stderr. Each is answered in its turn by an ANSWER: started or not, with
pid or errno. The end of a process is told by one too, with its returncode (as in ``subprocess``).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import signal
import socket
import struct
import sys
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LENGTH = struct.Struct("!I")
ANSWER = struct.Struct("!cii")
STARTED, NOT_STARTED, ENDED = b"+", b"-", b"."
DESCRIPTORS = 5
_READ_BYTES = 65_536
_LOOK_S = 1.0  # at whether the host is there still, where the kernel doesn't tell
_PR_SET_CHILD_SUBREAPER = 36
_CHILDREN = f"/proc/self/task/{os.getpid()}/children"


class Guardian:
    """``run`` returns when nothing is left to guard. ``paths``: where to import from what is needed at an end only."""

    def __init__(self, commands: int, answers: int, host: int, silence_s: float, paths: list[str]) -> None:
        for fd in (commands, answers):
            os.set_inheritable(fd, False)  # what a worker holds open would not end with this process
        self._commands = socket.socket(fileno=commands)
        self._answers = answers
        self._host = host
        self._silence_s = silence_s
        self._paths = paths
        self._heard_at = monotonic()
        self._buffer = b""
        self._descriptors: list[int] = []
        self._workers: set[int] = set()
        self._gone = False

    def run(self) -> None:
        adopt_orphans()
        woken = _woken_by_children()
        host = _watched(self._host)
        while True:
            hosts = [] if self._gone else [self._commands.fileno(), *([] if host is None else [host])]
            ready, _, _ = select.select([woken, *hosts], [], [], self._patience(host))
            if woken in ready:
                os.read(woken, _READ_BYTES)
            if self._commands.fileno() in ready:
                self._hear()
            if host in ready or os.getppid() != self._host:
                self._gone = True
            if self._gone or self._silent():
                self._kill_workers()
            self._bury()
            if self._gone and not self._workers and not _children():
                return

    def _patience(self, host: int | None) -> float | None:
        waits = [] if host is not None and not self._gone else [_LOOK_S]
        if self._silence_s and not self._gone:
            waits.append(max(0.0, self._heard_at + self._silence_s - monotonic()))
        return min(waits, default=None)

    def _silent(self) -> bool:
        if not self._silence_s or monotonic() - self._heard_at < self._silence_s:
            return False
        if select.select([self._commands], [], [], 0)[0]:
            return False  # it did speak: this process had no turn
        self._heard_at = monotonic()
        return True

    # --- the host --------------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._commands, _READ_BYTES, 4 * DESCRIPTORS)
        except OSError:
            data, descriptors = b"", []
        if not data:
            self._gone = True
            return
        self._heard_at = monotonic()
        self._buffer += data
        self._descriptors += descriptors
        while len(self._buffer) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                return
            body, self._buffer = self._buffer[LENGTH.size : end], self._buffer[end:]
            if body:
                self._start(body)

    def _start(self, body: bytes) -> None:
        passed, self._descriptors = self._descriptors[:DESCRIPTORS], self._descriptors[DESCRIPTORS:]
        words, _, variables = body.partition(b"\0\0")
        try:
            pid = _spawned(words.split(b"\0"), variables.split(b"\0"), passed)
        except OSError as error:
            self._answer(NOT_STARTED, error.errno or errno.EAGAIN)
        else:
            self._workers.add(pid)
            self._answer(STARTED, pid)
        finally:
            for fd in passed:
                os.close(fd)

    def _answer(self, kind: bytes, number: int, value: int = 0) -> None:
        try:
            os.write(self._answers, ANSWER.pack(kind, number, value))
        except OSError:  # nobody listens any more
            self._gone = True

    # --- the workers -----------------------------------------------------------------------------------------------

    def _kill_workers(self) -> None:
        if os.path.exists(_CHILDREN):  # noqa: PTH110 - pathlib is slow to import
            for pid in self._workers:
                _kill(-pid)  # its group; what else it started is a child here by the time its end is told
            return
        sys.path.extend(self._paths)
        self._paths = []
        from phasenb.executors.process_tree import kill_tree

        for pid in self._workers:
            kill_tree(pid)

    def _bury(self) -> None:
        """Take note of what has ended, and end what it left behind."""
        for pid, status in _ended():
            if pid in self._workers:
                self._workers.remove(pid)
                _kill(-pid)
                self._answer(ENDED, pid, os.waitstatus_to_exitcode(status))
        for pid in _children() - self._workers:
            _kill(pid)


def adopt_orphans() -> None:
    """Have what descends from this process stay below it, and be its child when its parent ends (Linux: prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _children() -> set[int]:
    """Those of this process, as the kernel tells them (Linux); elsewhere none are seen."""
    try:
        with open(_CHILDREN, "rb") as file:  # noqa: PTH123
            return set(map(int, file.read().split()))
    except OSError:
        return set()


def _spawned(words: list[bytes], variables: list[bytes], passed: list[int]) -> int:
    if len(passed) < DESCRIPTORS:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    *named, stdout, stderr = passed
    for fd in passed:
        os.set_inheritable(fd, fd in named)
    return os.posix_spawn(
        words[0],
        [*words, *(str(fd).encode() for fd in named)],
        dict(variable.split(b"=", 1) for variable in variables if variable),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, stdout, 1),
            (os.POSIX_SPAWN_DUP2, stderr, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores them, and ignored is what a program begins with
    )


def _ended() -> Iterator[tuple[int, int]]:
    """The children that have ended: (pid, status)."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


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
    Guardian(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5:]).run()
