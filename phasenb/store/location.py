"""Where a store lies: a path, ``sqlite:///path``, or ``:memory:``; and what can be told of it before it is opened."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from phasenb.config.places import expanded
from phasenb.errors import StoreUnavailable

MEMORY = ":memory:"
_SCHEME = "sqlite://"
# SQLite's WAL needs memory that all its users share, which these do not give (sqlite.org/wal.html, point 2).
# Shared folders of a virtual machine (9p, virtiofs, vboxsf) are no network's, and many a container's root is one: where
# their memory can't be shared SQLite says so when the store is opened.
_NETWORK = frozenset({
    "nfs", "nfs4", "cifs", "smbfs", "smb2", "smb3", "ncpfs", "afs", "coda", "ceph", "lustre", "beegfs", "gpfs",
    "glusterfs", "orangefs", "pvfs2", "panfs", "davfs",
})  # fmt: skip
_NETWORK_FUSE = frozenset({
    "sshfs", "glusterfs", "ceph", "ceph-fuse", "s3fs", "goofys", "mount-s3", "gcsfuse", "blobfuse", "blobfuse2",
    "rclone", "juicefs", "davfs", "davfs2", "seaweedfs", "mfs", "moosefs", "lizardfs", "beegfs", "smbnetfs",
    "curlftpfs", "fuse_dfs", "cvmfs2",
})  # fmt: skip
_ROOT = 0
_OCTAL = re.compile(r"\\([0-7]{3})")  # how /proc/mounts writes blanks


@dataclass(frozen=True, slots=True)
class Location:
    """``path`` is absolute; None for a store in memory. ``shown`` is what errors call it."""

    shown: str
    path: Path | None


def locate(url: str | Path) -> Location:
    """Raises StoreUnavailable for a URL that is no SQLite file, ConfigError for ``~`` without a home folder."""
    text = str(url)
    if text.startswith(_SCHEME):
        text = text.removeprefix(_SCHEME).removeprefix("/") or MEMORY
    elif "://" in text:
        raise StoreUnavailable(text, "only SQLite is supported: give a path, or sqlite:///path")
    if text == MEMORY:
        return Location(MEMORY, None)
    path = expanded(text).absolute()
    return Location(str(path), path)


def check(location: Location) -> None:
    """Raises StoreUnavailable where the path alone shows that it can't work."""
    path = location.path
    if path is None:
        return
    check_links(location, path)
    try:
        if not path.parent.is_dir():
            raise StoreUnavailable(location.shown, "its folder does not exist")
        if path.exists() and not path.is_file():
            raise StoreUnavailable(location.shown, "it is not a file")
    except OSError as error:
        raise StoreUnavailable(location.shown, error.strerror or str(error)) from None
    check_owner(location, path)
    network = network_file_system(path.parent.resolve(), mounts())
    if network:
        problem = f"it lies on a network file system ({network}): set store.url to a path on a local disk"
        raise StoreUnavailable(location.shown, problem)


def check_links(location: Location, path: Path) -> None:
    """In a folder that everybody may write to, a link may lead to a file of its maker's choice.

    Raises StoreUnavailable where ``path``, or a folder that it lies in, is such a link.
    """
    try:
        planted = next(
            (each for each in (path, *path.parents) if _open_to_all(each.parent) and each.is_symlink()), None
        )
    except OSError:
        return  # what is wrong with the path is said by those who look at it next
    if planted is not None:
        problem = (
            f"{planted} is a symbolic link in a folder that everybody may write to, and was not followed: remove it, "
            "or set store.url to a path in a folder of your own"
        )
        raise StoreUnavailable(location.shown, problem)


def same_place(opened: str, path: Path) -> bool:
    """Whether the file that SQLite says it opened is what ``path`` means. SQLite resolves a link that is the file
    itself; links among its folders it resolves since 3.39 only (sqlite.org/releaselog/3_39_0.html).
    """
    return Path(opened).resolve() == path.resolve()


def check_owner(location: Location, path: Path) -> None:
    """In a folder that everybody may write to, anybody may have put the file there, to read what is written to it.

    Raises StoreUnavailable where it is another user's, who is not root.
    """
    try:
        planted = _open_to_all(path.parent) and of_another(path.stat().st_uid, _user())
    except OSError:
        return  # there is none yet, or SQLite says what is wrong with it
    if planted:
        problem = (
            "it belongs to another user, in a folder that everybody may write to, and was not opened: make it yours "
            "(chown), take the folder's write permission from others (chmod o-w), or set store.url to a path in a "
            "folder of your own"
        )
        raise StoreUnavailable(location.shown, problem)


def of_another(owner: int, user: int | None) -> bool:
    """Whether a file's owner is a user whom ``user`` has no reason to trust; None: the system has no such numbers.

    What root put there was not planted, and root may look at the stores of others.
    """
    return user is not None and _ROOT not in (owner, user) and owner != user


def _user() -> int | None:
    return os.geteuid() if hasattr(os, "geteuid") else None


def _open_to_all(folder: Path) -> bool:
    return folder.is_dir() and bool(folder.stat().st_mode & stat.S_IWOTH)


def network_file_system(folder: Path, mounts: str) -> str | None:
    """The type of the network file system that ``folder`` is on, or None. ``mounts`` as in Linux's /proc/mounts."""
    kind = file_system(folder, mounts)
    over_fuse = kind.startswith("fuse.") and kind.removeprefix("fuse.").lower() in _NETWORK_FUSE
    return kind if kind in _NETWORK or over_fuse else None


def file_system(folder: Path, mounts: str) -> str:
    """The type of the file system that ``folder`` is on; empty where ``mounts`` does not tell."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = _OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[1])
        if folder.is_relative_to(point) and len(point) >= best:
            best, kind = len(point), fields[2]
    return kind


def mounts() -> str:
    """Linux's table of mounts; empty elsewhere."""
    try:
        return Path("/proc/self/mounts").read_text(errors="replace")
    except OSError:
        return ""  # not Linux: nothing is known, so nothing is refused
