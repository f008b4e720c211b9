"""The UNIX socket on which a Jupyter server serves its own user (server.own_socket): where it is, whether it is theirs.

Rules: its place follows from the server's pid, so that a kernel finds it as it finds the server's file; it is used only
where the socket and its folder are this user's, and the folder is closed to others.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from phasenb.config.places import runtime_dir


def socket_place(pid: int) -> Path:
    """Where the socket of the Jupyter server ``pid`` is, or a link to it."""
    return runtime_dir() / f"phasenb-{pid}.sock"


def socket_of(pid: int) -> str | None:
    """The socket of the Jupyter server ``pid``; None where there is none that is this user's alone."""
    path = Path(os.path.realpath(socket_place(pid)))
    try:
        found = path.lstat()
    except OSError:
        return None
    own = stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid() and is_private(path.parent)
    return str(path) if own else None


def is_private(folder: Path) -> bool:
    """Whether this user alone can look into a folder."""
    found = folder.stat()
    return found.st_uid == os.geteuid() and not found.st_mode & 0o077
