"""The UNIX socket on which a Jupyter server serves its own user (server.own_socket): where it is, whether it is theirs.

Rules: its place follows from the server's pid, so that a kernel finds it as it finds the server's file; it is used only
where the socket and its folder are this user's, the folder is closed to others, and somebody listens.
"""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from phasenb.config.places import runtime_dir


def socket_place(pid: int) -> Path:
    """Where the socket of the Jupyter server ``pid`` is, or a link to it."""
    return runtime_dir() / f"phasenb-{pid}.sock"


def socket_of(pid: int) -> str | None:
    """The socket of the Jupyter server ``pid``; None where there is none that is this user's alone, or only one that a
    process which had this pid left behind.
    """
    path = Path(os.path.realpath(socket_place(pid)))
    try:
        found = path.lstat()
    except OSError:
        return None
    own = stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid() and is_private(path.parent)
    return str(path) if own and _listens(path) else None


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asked:
        asked.setblocking(False)
        try:
            asked.connect(str(path))
        except BlockingIOError:  # Linux, where more connections wait than it takes: connect(2), EAGAIN
            return True
        except OSError:
            return False
    return True


def is_private(folder: Path) -> bool:
    """Whether this user alone can look into a folder."""
    found = folder.stat()
    return found.st_uid == os.geteuid() and not found.st_mode & 0o077
