"""The worker process: ``python -P -m phasenb.executors.worker SOCKET STDOUT STDERR`` (inherited descriptors).

Rules: it says ``hello`` before it imports anything heavy, so that another release or another Python is told apart and
not guessed from a traceback; phases run in the main thread, as in a script, so signals and libraries that ask for the
main thread work. POSIX only: process groups, passed descriptors and signals have no likeness on Windows.

``-P`` keeps the directory that it starts in off the path: a launcher's own ``random.py`` must not break the worker.
"""

from __future__ import annotations

import os
import platform
import socket
import sys


def main(argv: list[str]) -> None:
    from phasenb.executors.worker_io import Channel, die_with_guardian
    from phasenb.executors.worker_messages import PROTOCOL

    numbers = [int(text) for text in argv]
    for fd in numbers:
        os.set_inheritable(fd, False)  # what a phase starts must not hold the line to the host open
    die_with_guardian()
    channel = Channel(socket.socket(fileno=numbers[0]))
    channel.send({"type": "hello", "protocol": PROTOCOL, "python": platform.python_version(), "pid": os.getpid()})
    from phasenb.executors.worker_loop import Worker

    Worker(channel, numbers[1], numbers[2]).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
