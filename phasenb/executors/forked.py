"""A child that a phase forks (``os.fork``, a pool of multiprocessing): what it may use of its worker's, and its end.

Rules: descriptors 1 and 2 are the phase's, and so the child's; all else of the worker is the parent's alone: its line
to the host, the pipes that it reads, its handlers of signals, its locks, which another thread may have held at the
fork. A child that comes back as if it were the worker ends, as a script would.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import NoReturn


def write(text: str) -> None:
    """A line of logging, of a warning or of ``ctx.log``: the parent reads it from descriptor 2, whole."""
    data = f"{text}\n".encode(errors="backslashreplace")
    while data:
        data = data[os.write(2, data) :]


def default_signals(ours: object) -> None:
    """Have SIGINT (where its handler is ``ours``) and SIGHUP do what they do in a new process."""
    if signal.getsignal(signal.SIGINT) == ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    known = signal.getsignal(signal.SIGHUP)
    if known in (signal.SIG_DFL, signal.SIG_IGN):  # as Python knows: see worker_io.die_with_guardian, and nohup(1)
        signal.signal(signal.SIGHUP, known)


def flush() -> None:
    """Before a fork: what waits to be written is the parent's line, and the child's not again."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # a phase closed or replaced it: nothing of ours waits in there
            continue


def leave(error: BaseException | None) -> NoReturn:
    """End this process as a script that ``error`` ended, or that came to its end."""
    code = 0
    if isinstance(error, SystemExit):
        code = _exit_code(error.code)
    elif error is not None:
        traceback.print_exception(error)
        code = 1
    flush()
    os._exit(code)


def _exit_code(said: object) -> int:
    if said is None:
        return 0
    if isinstance(said, int):
        return said & 0xFF
    write(str(said))
    return 1
