"""A launcher's environment variables in worker processes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from platform import python_version

import orjson
import pytest

from phasenb.config.machine import machine_id
from phasenb.core.variables import carried
from phasenb.dto.launch import Runtime
from phasenb.errors import LaunchError
from phasenb.executors.environment import parsed

PLACE = {"python": python_version(), "executable": sys.executable, "sys_path": ()}


@pytest.fixture
def launcher(house, tmp_path):
    """``launcher(REGION="north", PATH=None)``: the runtime of one whose environment differs from this one in these."""

    def made(host=None, **changed):
        environment = {**carried(os.environ, os.path.exists).variables, **changed}
        going = {name: value for name, value in environment.items() if value is not None}
        digest, _ = house.folder.put(json.dumps(going).encode())
        return Runtime(**PLACE, cwd=str(tmp_path), host=host or machine_id(), variables=digest)

    return made


@pytest.fixture
def in_workers(house, on_process):
    """``in_workers(function, *runtimes)``: for each what ``function`` gives in its phase, and in which worker."""

    def play(function, *runtimes, **options):
        async def scenario(executor):
            told = []
            for runtime in runtimes:
                slot = await executor.reserve("ada", runtime)
                ran = await house.run(slot, function)
                assert ran.outcome.error is None, ran.outcome.error
                told.append((ran.value(), slot.worker))
                await slot.release()
            return told

        return on_process(scenario, objects_url=lambda owner: house.url, workers=1, **options)

    return play


def test_a_phase_has_the_launchers_variables_and_lacks_what_it_lacks(launcher, in_workers, monkeypatch):
    def seen():
        return {name: os.environ.get(name) for name in names}

    monkeypatch.setenv("ONLY_THE_HOST", "x")
    monkeypatch.setenv("HOSTS_TOKEN", "sk-of-the-host")
    monkeypatch.setenv("PHASENB_URL", "http://host/")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/tmp/agent")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    names = ["REGION", "ONLY_THE_HOST", "HOSTS_TOKEN", "PHASENB_URL", "SSH_AUTH_SOCK", "MPLBACKEND", "ODD"]
    odd = os.fsdecode(b"\xff\xfe")  # no text in UTF-8, as a folder's name may be
    ((told, _),) = in_workers(
        seen, launcher(REGION="north", ONLY_THE_HOST=None, PHASENB_URL="http://other/", SSH_AUTH_SOCK="/x", ODD=odd)
    )
    assert told == {
        "REGION": "north",
        "ONLY_THE_HOST": None,
        "HOSTS_TOKEN": None,
        "PHASENB_URL": "http://host/",
        "SSH_AUTH_SOCK": None,
        "MPLBACKEND": "Agg",
        "ODD": odd,
    }


def test_the_c_library_sees_them_too(launcher, in_workers):
    def seen():
        import ctypes

        ctypes.CDLL(None).getenv.restype = ctypes.c_char_p
        return ctypes.CDLL(None).getenv(b"GDAL_DATA"), subprocess.check_output(["printenv", "GDAL_DATA"]).decode()

    assert in_workers(seen, launcher(GDAL_DATA="/opt/gdal"))[0][0][1] == "/opt/gdal\n"


def test_another_value_costs_no_worker_where_it_need_not(launcher, in_workers):
    def region():
        os.environ["LEFT_BY"] = "a phase"
        return os.environ.get("REGION"), os.environ.get("MODE")

    runtimes = [launcher(REGION="north"), launcher(REGION="south", MODE="fast"), launcher(), launcher(REGION="north")]
    told = in_workers(region, *runtimes)
    assert [value for value, _ in told] == [("north", None), ("south", "fast"), (None, None), ("north", None)]
    assert len({worker for _, worker in told}) == 1


def test_a_worker_of_a_launchers_is_given_back_its_hosts_variables(launcher, in_workers, house, monkeypatch, tmp_path):
    def region():
        return os.environ.get("REGION"), os.environ.get("ONLY_THE_HOST")

    monkeypatch.setenv("ONLY_THE_HOST", "x")
    plain = launcher().changed(variables=None)
    told = in_workers(region, launcher(REGION="north", ONLY_THE_HOST=None), plain)
    assert [value for value, _ in told] == [("north", None), (None, "x")]
    assert len({worker for _, worker in told}) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("PYTHONHASHSEED", "7"), ("TZ", "Asia/Tokyo"), ("OMP_NUM_THREADS", "3"), ("LC_ALL", "C")]
)
def test_what_is_read_at_a_start_chooses_the_worker(launcher, in_workers, name, value):
    def read():
        import time

        return os.environ.get(name), sys.flags.hash_randomization, time.tzname[0]

    one, two, again = in_workers(read, launcher(), launcher(**{name: value}), launcher(**{name: value}))
    assert one[0][0] == os.environ.get(name)
    assert two[0][0] == value
    assert two[1] == again[1] != one[1]
    if name == "PYTHONHASHSEED":
        assert two[0][1] == 1  # it was there when the interpreter started: sys.flags tells a set seed too
    if name == "TZ":
        assert two[0][2] == "JST"


def test_the_loader_finds_libraries_where_the_launcher_does(launcher, in_workers, tmp_path):
    shutil.copy(orjson.orjson.__file__, tmp_path / "libphasenbtest.so")  # any library

    def loads():
        import ctypes

        return hasattr(ctypes.CDLL("libphasenbtest.so"), "PyInit_orjson")

    before = os.environ.get("LD_LIBRARY_PATH")
    path = str(tmp_path) if before is None else f"{tmp_path}:{before}"
    assert in_workers(loads, launcher(LD_LIBRARY_PATH=path))[0][0] is True


def test_a_workers_guardian_has_the_hosts_own(launcher, in_workers):
    def of_parent():
        its = Path(f"/proc/{os.getppid()}/environ").read_bytes().split(b"\0")
        return its.count(b"MALLOC_ARENA_MAX=2"), os.environ["MALLOC_ARENA_MAX"]

    assert in_workers(of_parent, launcher(MALLOC_ARENA_MAX="2"))[0][0] == (0, "2")


def test_variables_of_another_machine_do_not_count(launcher, in_workers):
    told = in_workers(lambda: os.environ.get("REGION"), launcher(host="another", REGION="north"))
    assert told[0][0] is None


def test_variables_that_are_gone_or_none_are_told_in_words(launcher, on_process, house):
    gone = launcher().changed(variables="sha256:" + "0" * 64)
    none = launcher().changed(variables=house.folder.put(b'{"A": 1}')[0])

    async def scenario(executor):
        assert executor.warm("ada", gone) is None
        with pytest.raises(LaunchError, match=r"are gone: launch it again"):
            await executor.reserve("ada", gone)
        with pytest.raises(LaunchError, match="no JSON object of texts"):
            await executor.reserve("ada", none)

    on_process(scenario, objects_url=lambda owner: house.url)


@pytest.mark.parametrize("text", ["", "[]", '{"A": null}', '{"": "x"}', '{"A=B": "x"}', r'{"A": "x\u0000"}', "{"])
def test_what_can_be_no_variables(text):
    with pytest.raises(LaunchError):
        parsed(text.encode())


def test_a_warm_worker_is_had_at_once_also_with_variables(launcher, on_process, house):
    async def scenario(executor):
        slot = await executor.reserve("ada", launcher(REGION="north"))
        await slot.release()
        assert executor.warm("ada", launcher(REGION="not read yet")) is None
        warm = executor.warm("ada", launcher(REGION="north"))
        assert warm.worker == slot.worker
        await warm.release()

    on_process(scenario, objects_url=lambda owner: house.url, workers=1)
