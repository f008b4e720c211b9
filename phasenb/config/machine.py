"""Which machine this is, so that a server can tell whether a launcher's paths are its own.

Rule: equal for all processes that see the same files on the same running system, different for another machine and for
another container on the same one; a reboot may change it. It is for comparing, no secret and no licence key.
"""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from pathlib import Path

# systemd's machine-id(5) and the kernel's boot id; absent on other systems, where the host's name has to do.
_SOURCES = ("/etc/machine-id", "/proc/sys/kernel/random/boot_id")


@cache
def machine_id() -> str:
    """32 hex characters. Containers made from one image share a machine id, but neither name nor root file system."""
    told = [_text(path) for path in _SOURCES]
    told += [platform.node(), str(Path("/").stat().st_dev)]
    return hashlib.sha256("|".join(told).encode()).hexdigest()[:32]


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
