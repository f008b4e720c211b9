"""A disk that is full when a store is made, a user who may start no more processes: real ones, called what they are.

Rules: a small disk is a tmpfs in namespaces of the command's own, or a container's small /dev/shm that is filled; who
may not have one is told what is needed. Processes are counted for each user, and root's never are: root's tests become
another user, who keeps one right of root's, to read an interpreter that stands in root's home; anybody else's have a
user namespace, where only theirs are counted.
"""

import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

FLOW = """
import phasenb as pn

flow = pn.Workflow("counting", phases=("count",))

@flow.phase("count")
def count():
    return 344

if __name__ == "__main__":
    print("result", flow.launch().result(timeout=60))
"""
DOCTOR = (sys.executable, "-m", "phasenb", "doctor", "--json")
SCRIPT = (sys.executable, "flow.py")
SHARED_MEMORY = Path("/dev/shm")
SMALL = 256_000_000  # bytes; a container has 64 MB by default
NOBODY = 65534
AS_NOBODY = (
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override", "--",
)  # fmt: skip


@pytest.fixture
def folder():
    """Not pytest's: another user must get into it."""
    with tempfile.TemporaryDirectory(prefix="phasenb-limits-") as name:
        path = Path(name)
        path.chmod(0o777)
        (path / "flow.py").write_text(FLOW)
        yield path


def ran(command, folder, store, before=None, **environ):
    own = {"HOME": str(folder), "JUPYTER_RUNTIME_DIR": str(folder / "runtime"), "PHASENB_STORE_URL": str(store)}
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **own, **environ}, preexec_fn=before,
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip


def findings(done):
    assert "Traceback" not in done.stderr, done.stderr
    told = map(json.loads, done.stdout.splitlines())
    return {each["check"]: each for each in told if "check" in each}


# --- a full disk ---------------------------------------------------------------------------------------------------


@contextmanager
def small_disk(kilobytes, folder):
    """``(the words before a command that runs with it, its folder)``."""
    disk = folder / "disk"
    disk.mkdir(exist_ok=True)
    mount = f"mount -t tmpfs -o size={kilobytes}k tmpfs {shlex.quote(str(disk))}"
    for namespaces in (("-r", "-m"), ("-m",)):
        inside = ("unshare", *namespaces, "sh", "-c")
        if subprocess.run((*inside, mount), capture_output=True, check=False).returncode == 0:
            yield (*inside, f'{mount} && exec "$@"', "sh"), disk
            return
    with _filled_shared_memory(kilobytes) as disk:
        yield (), disk


@contextmanager
def _filled_shared_memory(kilobytes):
    if not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).total > SMALL:
        pytest.fail(
            "A small disk is needed: let this user make user namespaces that may mount (`unshare -rm mount -t tmpfs "
            "tmpfs /mnt` tries it; on Ubuntu `sysctl kernel.apparmor_restrict_unprivileged_userns=0`), or run in a "
            "container whose /dev/shm is its own and small (docker's default, --shm-size=64m)."
        )
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY) as name:
        ballast = os.open(Path(name, "ballast"), os.O_CREAT | os.O_WRONLY)
        os.posix_fallocate(ballast, 0, shutil.disk_usage(name).free - kilobytes * 1024)
        os.close(ballast)
        yield Path(name)


@pytest.mark.parametrize("kilobytes", [8, 64, 128])  # no room for the file, for its tables, for its index of the WAL
def test_a_launch_onto_a_full_disk_says_so(folder, kilobytes):
    with small_disk(kilobytes, folder) as (inside, disk):
        done = ran((*inside, *SCRIPT), folder, disk / "phasenb.db")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"phasenb.errors.StoreUnavailable: the store {disk / 'phasenb.db'} can't be used"), last
    assert "the disk is full" in last


@pytest.mark.parametrize("where", ["chosen", "default"])
def test_doctor_says_that_the_disk_is_full(folder, where):
    with small_disk(64, folder) as (inside, disk):
        chosen = {"PHASENB_STORE_URL": str(disk / "phasenb.db")} if where == "chosen" else {}
        default = ("env", "-u", "PHASENB_STORE_URL") if where == "default" else ()
        done = ran((*inside, *default, *DOCTOR), folder, "", JUPYTER_DATA_DIR=str(disk / "data"), **chosen)
    store = findings(done)["store"]
    assert (done.returncode, store["status"]) == (1, "wrong")
    assert "the disk is nearly full" in store["text"]
    assert store["text"].startswith(str(disk))
    assert "make room" in store["todo"]


# --- no more processes ---------------------------------------------------------------------------------------------


def with_at_most(processes, command, folder):
    """Threads are processes here, as the kernel counts them."""
    inside = AS_NOBODY if os.geteuid() == 0 else ("unshare", "-U", "--")
    if subprocess.run((*inside, "true"), capture_output=True, check=False).returncode != 0:
        pytest.fail(f"`{shlex.join(inside)}` must work here: it gives a user whose processes are counted alone.")
    limit = resource.RLIMIT_NPROC, (processes, processes)
    return ran((*inside, *command), folder, folder / "phasenb.db", lambda: resource.setrlimit(*limit))


# From the first thread of the host to the worker's own ones.
@pytest.mark.parametrize("processes", [1, 2, 4, 5, 6, 7])
def test_doctor_names_the_limit(folder, processes):
    done = with_at_most(processes, DOCTOR, folder)
    executor = findings(done)["executor"]
    assert (done.returncode, executor["status"]) == (1, "wrong")
    assert "its user may start no more processes or threads now (`ulimit -u`)" in executor["text"]
    assert "memory" not in executor["text"]


@pytest.mark.parametrize("processes", [2, 4, 6, 7])
def test_a_launch_names_the_limit(folder, processes):
    done = with_at_most(processes, SCRIPT, folder)
    assert done.returncode == 1, done.stdout
    last = done.stderr.splitlines()[-1]
    assert last.startswith("phasenb.errors."), done.stderr
    assert "(`ulimit -u`)" in last
    assert "memory" not in last


def test_with_room_for_them_all_is_well(folder):
    assert with_at_most(40, SCRIPT, folder).stdout == "result 344\n"
