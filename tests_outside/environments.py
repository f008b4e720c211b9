"""The environments of the tier *outside*: what users have beside phasenb, each installed apart in .venv-outside/NAME.

Rules: a folder of tests_outside that has a ``requirements.txt`` is an environment of that name. The file installs
phasenb itself too, so pip proves that both fit together. A ``package.json`` adds npm's packages. A ``revision.txt``
makes one of an older phasenb instead: its source over this interpreter's packages. ``apt.txt`` lists Debian packages,
each after the command that it brings. An environment is made again when one of these files, or what pyproject.toml says
of the project, has changed. What can't be installed is an error: no test is skipped for it, but for an older phasenb
where the clone has no history.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
HERE = ROOT / "tests_outside"
REQUIREMENTS, REVISION = "requirements.txt", "revision.txt"
FILES = (REQUIREMENTS, REVISION, "package.json", "package-lock.json")
AT_ONCE = 2  # pip waits for the network as long as it works
# This interpreter's folder has node and npm; nginx is in one that is not on everybody's PATH.
_PATH = os.pathsep.join([os.environ["PATH"], str(Path(sys.executable).parent), "/usr/sbin"])


class CannotInstall(Exception):
    """What an environment needs is not to be had here."""


class NoHistory(Exception):
    """An older phasenb is not to be had: this clone is shallow. The recorded frames of tests/executors stand in."""


@dataclass(frozen=True)
class Environment:
    """``python``: its interpreter, ``bin``: the folder of its commands."""

    name: str

    @property
    def folder(self) -> Path:
        return ROOT / ".venv-outside" / self.name

    @property
    def files(self) -> Path:
        """The committed files that describe it, and its tests."""
        return HERE / self.name

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    @property
    def python(self) -> Path:
        return self.bin / "python"

    def environ(self, **more: str) -> dict[str, str]:
        """This process's variables, with the environment's commands first on PATH."""
        folders = [str(self.bin), str(self.folder / "node_modules" / ".bin"), _PATH]
        return {**os.environ, "PATH": os.pathsep.join(folders), "VIRTUAL_ENV": str(self.folder), **more}

    def run(self, *command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command of it to its end, ``python`` for one; an exit code that is not 0 shows all that it printed."""
        environ = self.environ(**options.pop("environ", {}))
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, **options)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def make(self) -> None:
        """Install it, if that has not been done for these very files. Raises CannotInstall, NoHistory."""
        with _locked(self.folder.with_suffix(".lock")):
            stamp = self.folder / "made-from"
            if stamp.exists() and stamp.read_text() == self._fingerprint():
                return
            begun = time.monotonic()
            shutil.rmtree(self.folder, ignore_errors=True)
            if (self.files / REVISION).exists():
                self._older((self.files / REVISION).read_text().strip())
            else:
                self._newest()
            stamp.write_text(self._fingerprint())
            print(f"{self.name}: installed in {time.monotonic() - begun:.0f} s", flush=True)

    def _fingerprint(self) -> str:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        described = [path.read_text() for path in (self.files / name for name in FILES) if path.exists()]
        return hashlib.sha256(json.dumps([sys.version, str(ROOT), project, described]).encode()).hexdigest()

    def _newest(self) -> None:
        _run(sys.executable, "-m", "venv", self.folder)
        # Compiled when they are imported: most of what they bring never is.
        quietly = ("--quiet", "--no-compile", "--disable-pip-version-check")
        _run(self.python, "-m", "pip", "install", *quietly, "-r", self.files / REQUIREMENTS)
        # An editable install does not bring the bundle: link the one that `make labextension` builds.
        link = self.folder / "share" / "jupyter" / "labextensions" / "phasenb"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(ROOT / "phasenb" / "labextension")
        if (self.files / "package.json").exists():
            self._npm()

    def _older(self, revision: str) -> None:
        known = subprocess.run(["git", "cat-file", "-e", f"{revision}^{{commit}}"], cwd=ROOT, capture_output=True)
        if known.returncode != 0:
            raise NoHistory(f"{revision} is not in this clone: git fetch --unshallow brings the whole history")
        _run(sys.executable, "-m", "venv", "--without-pip", self.folder)
        source = self.folder / "source"
        archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            packed.extractall(source, filter="data")
        # It needs what the present one needs. A .pth file in the second folder is not read: the older source wins.
        (site,) = self.folder.glob("lib/python*/site-packages")
        (site / "older.pth").write_text(f"{source}\n{sysconfig.get_path('purelib')}\n")

    def _npm(self) -> None:
        for name in (".npmrc", "package.json", "package-lock.json"):
            shutil.copy(self.files / name, self.folder)
        _run(command_path("npm") or "npm", "ci", "--silent", "--prefix", self.folder, env=self.environ())


def environments() -> list[Environment]:
    files = [path for name in (REQUIREMENTS, REVISION) for path in HERE.glob(f"*/{name}")]
    return [Environment(path.parent.name) for path in sorted(files)]


def command_path(command: str) -> str | None:
    """Where a command of a Debian package, or of this interpreter's environment, is."""
    return shutil.which(command, path=_PATH)


def install_debian_packages() -> None:
    """Those of all apt.txt files whose command is not there. Raises CannotInstall."""
    lines = [line.split() for path in sorted(HERE.glob("*/apt.txt")) for line in path.read_text().splitlines()]
    missing = [package for command, package in lines if command_path(command) is None]
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise CannotInstall(f"these Debian packages are needed, and only root can install them: {' '.join(missing)}")
    print(f"Installing {' '.join(missing)}", flush=True)
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run("apt-get", "update", "-qq", env=environ)
    _run("apt-get", "install", "-y", "-qq", *missing, env=environ)


def _run(*command: str | Path, **options: Any) -> None:
    """From the project's folder, to which "-e ." of a requirements file is relative."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise CannotInstall(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _made(environment: Environment) -> None:
    try:
        environment.make()
    except NoHistory as error:
        print(f"{environment.name}: left out: {error}", flush=True)


def main(names: list[str]) -> None:
    """Install the environments that are named, all without names."""
    try:
        install_debian_packages()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(_made, map(Environment, names) if names else environments()))
    except CannotInstall as error:
        sys.exit(f"test-outside: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
