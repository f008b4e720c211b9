"""A worker that dies once, by SIGKILL, just before or just after it says its nth message of a kind.

usage, as an interpreter's script in the place of ``-m phasenb.executors.worker``:
    python -P dying_worker.py FOLDER KIND before|after NTH SOCKET STDOUT STDERR
``FOLDER/died`` is there once it did: the next one lives.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from phasenb.executors.worker import main
from phasenb.executors.worker_io import Channel


def arm(died, kind, when, nth):
    send, left = Channel.send, [nth]

    def dying(self, header, *payload):
        hit = header["type"] == kind and not died.exists()
        left[0] -= hit
        if hit and left[0] == 0:
            died.touch()
            if when == "after":
                send(self, header, *payload)
            os.kill(os.getpid(), signal.SIGKILL)
        send(self, header, *payload)

    Channel.send = dying


if __name__ == "__main__":
    folder, kind, when, nth, *numbers = sys.argv[1:]
    arm(Path(folder) / "died", kind, when, int(nth))
    main(numbers)
