"""Which machine this is, so that a server can tell whether a launcher's paths are its own.

Rule: equal for all processes that see the same files on the same running system, different for another machine and for
another container on the same one; a reboot may change it. It is for comparing, no secret and no licence key.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
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


@cache
def machine_digest() -> str:
    """What a host may tell any client of ``machine_id``: whoever knows that one is told paths of this machine."""
    return hashlib.sha256(f"phasenb {machine_id()}".encode()).hexdigest()[:32]


@cache
def process_space() -> str:
    """``machine_id`` and this process's PID namespace: where two processes have it equal, each can look the other up by
    its pid. Containers that share a folder, and even a root file system, need not.
    """
    try:
        namespace = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - a name such as pid:[4026531836], and no path
    except OSError:
        namespace = ""  # not Linux
    return f"{machine_id()}/{namespace}"


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def process_started(pid: int) -> str | None:
    """When a process of this machine was started, as text to compare; None where there is no such process, and "" where
    that can't be told.

    With the pid it names a process for good: pids are used again.
    """
    try:
        # proc(5): the 22nd field, in clock ticks since boot; the 2nd, the command's name, may hold blanks and brackets.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    except (OSError, IndexError):
        return ""
    asked = ["ps", "-o", "lstart=", "-p", str(pid)]  # macOS has no /proc
    try:
        told = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603 - a number
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout.strip() or None
