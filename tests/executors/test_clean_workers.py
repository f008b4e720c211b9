"""What an attempt changes in its process is as before for the next one, in the same worker; else the worker goes."""

import gc
import logging
import random
import signal
import subprocess
import sys
import time

import cloudpickle
import pytest

from phasenb.executors.library_state import LIBRARIES
from phasenb.executors.process_state import PROBES

cloudpickle.register_pickle_by_value(sys.modules[__name__])


async def in_a_task(house, executor, agent, values=None, **fields):
    """(the worker's pid, the story) of a task of one phase."""
    slot = executor.warm("ada", None) or await executor.reserve("ada", None)
    try:
        return slot.worker, await house.run(slot, agent, values, **fields)
    finally:
        await slot.release()


# What a phase changes, and how the next one sees it.
CHANGES = {
    "figures": ("import matplotlib.pyplot as plt; plt.plot([0, 1])", "plt.get_fignums()"),
    "matplotlib": ("import matplotlib; matplotlib.rcParams['font.size'] = 99", "matplotlib.rcParams['font.size']"),
    "colormaps": (
        "import matplotlib; matplotlib.colormaps.register(matplotlib.colormaps['viridis'], name='house')",
        "'house' in matplotlib.colormaps",
    ),
    "seterr": ("import numpy; numpy.seterr(all='raise')", "numpy.geterr()"),
    "printoptions": ("import numpy; numpy.set_printoptions(precision=1)", "numpy.get_printoptions()['precision']"),
    "pandas": ("import pandas; pandas.set_option('display.max_rows', 3)", "pandas.get_option('display.max_rows')"),
    "sklearn": ("import sklearn; sklearn.set_config(assume_finite=True)", "sklearn.get_config()['assume_finite']"),
    "umask": ("import os; os.umask(0o777)", "oct((os.umask(0), os.umask(0o22))[0])"),
    "timeout": ("import socket; socket.setdefaulttimeout(0.001)", "socket.getdefaulttimeout()"),
    "limits": (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (50, resource.getrlimit(7)[1]))",
        "resource.getrlimit(resource.RLIMIT_NOFILE)",
    ),
    "signals": (
        "import signal; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 10, 12, 14, 15)]",
        "[str(signal.getsignal(n)).split(' at ')[0] for n in (2, 10, 12, 14, 15)]",
    ),
    "mask": (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])",
        "[*signal.pthread_sigmask(signal.SIG_BLOCK, [])]",
    ),
    "alarm": ("import signal; signal.alarm(1000)", "signal.getitimer(signal.ITIMER_REAL)[0]"),
    "zone": ("import os, time; os.environ['TZ'] = 'Asia/Tokyo'; time.tzset()", "time.tzname"),
    "variable": ("import os; os.environ['MINE'] = '1'", "os.environ.get('MINE')"),
    "directory": ("import os; os.chdir('/')", "os.getcwd()"),
    "path": ("import sys; sys.path = ['/mine', *sys.path]", "'/mine' in sys.path"),
    "locale": ("import locale; locale.setlocale(locale.LC_ALL, 'C')", "locale.setlocale(locale.LC_ALL)"),
    "decimal": ("import decimal; decimal.getcontext().prec = 3", "decimal.getcontext().prec"),
    "decimals": ("import decimal; decimal.DefaultContext.prec = 3", "decimal.Context().prec"),
    "flags": ("import decimal; decimal.Decimal(1) / 3", "decimal.getcontext().flags[decimal.Inexact]"),
    "compiled": ("import sys; sys.pycache_prefix = '/mine'", "sys.pycache_prefix"),
    "origins": (
        "import sys; sys.set_coroutine_origin_tracking_depth(5)",
        "sys.get_coroutine_origin_tracking_depth()",
    ),
    "generators": ("import sys; sys.set_asyncgen_hooks(print, print)", "print in sys.get_asyncgen_hooks()"),
    "key": (
        "import multiprocessing; multiprocessing.current_process().authkey = b'of the task'",
        "multiprocessing.current_process().authkey == b'of the task'",
    ),
    "real-time signal": (
        "import signal; signal.signal(max(signal.valid_signals()), signal.SIG_IGN)",
        "str(signal.getsignal(max(signal.valid_signals())))",
    ),
    "trace": ("import sys; sys.settrace(lambda *a: None)", "sys.gettrace()"),
    "hooks": ("import sys; sys.excepthook = sys.displayhook = print", "[sys.excepthook, sys.displayhook].count(print)"),
    "recursion": ("import sys; sys.setrecursionlimit(5000)", "sys.getrecursionlimit()"),
    "collector": ("import gc; gc.disable(); gc.set_threshold(1)", "(gc.isenabled(), gc.get_threshold())"),
    "csv": ("import csv; csv.field_size_limit(5)", "csv.field_size_limit()"),
    "folder": ("import tempfile; tempfile.tempdir = '/mine'", "tempfile.tempdir == '/mine'"),
    "start method": (
        "import multiprocessing; multiprocessing.set_start_method('spawn')",
        "multiprocessing.get_start_method(allow_none=True)",
    ),
    "event loop": ("import asyncio; asyncio.run(asyncio.sleep(0))", "asyncio.get_event_loop().is_closed()"),
    "builtins": ("import builtins; builtins.open = None", "open('/dev/null').name"),
    "filters": ("import warnings; warnings.simplefilter('error')", "warnings.warn('told')"),
    "priority": ("import os; os.nice(3)", "os.nice(0)"),
    "verification": (
        "import ssl; ssl._create_default_https_context = ssl._create_unverified_context",
        "ssl._create_default_https_context.__name__",
    ),
    "backend": ("import matplotlib.pyplot as plt; plt.switch_backend('svg')", "plt.get_backend()"),
    "finder": ("import sys; sys.meta_path.insert(0, object()); sys.path_hooks.append(print)", "len(sys.meta_path)"),
    "added name": ("import builtins; builtins.extra = 1", "hasattr(builtins, 'extra')"),
    "callbacks": ("import gc; gc.callbacks.append(lambda *a: None)", "len(gc.callbacks)"),
    "allocations": ("import tracemalloc; tracemalloc.start()", "tracemalloc.is_tracing()"),
    "dialect": ("import csv; csv.register_dialect('mine', delimiter=';')", "csv.list_dialects()"),
    "types": ("import mimetypes; mimetypes.add_type('a/mine', '.mine')", "mimetypes.guess_type('x.mine')[0]"),
    "pickles": ("import copyreg; copyreg.pickle(set, lambda c: (set, ([1],)))", "set in copyreg.dispatch_table"),
}


def changes(source):
    exec(source, {})


def test_what_a_phase_changes_the_next_one_does_not_see(house, on_process):
    async def scenario(executor):
        for name, (change, look) in CHANGES.items():
            looking = {"imports": change.partition(";")[0], "look": look}
            first, before = await in_a_task(house, executor, looks, looking)
            _, told = await in_a_task(house, executor, changes, {"source": change})
            second, after = await in_a_task(house, executor, looks, looking)
            assert (told.outcome.error, before.outcome.error) == (None, None), name
            assert (name, after.value()) == (name, before.value())
            assert (name, second) == (name, first), "the worker was retired"

    on_process(scenario, workers=1)


def looks(imports, look):
    names = {}
    exec(imports, names)
    return eval(look, names)


def seeds():
    import numpy

    random.seed(0)
    numpy.random.seed(0)


def draws():
    import numpy

    return [random.random(), float(numpy.random.rand())]


def test_random_numbers_are_new_in_each_attempt(house, on_process):
    async def scenario(executor):
        drawn = []
        for _ in range(3):
            await in_a_task(house, executor, seeds)
            drawn += (await in_a_task(house, executor, draws))[1].value()
        assert len(set(drawn)) == len(drawn)

    on_process(scenario, workers=1)


def sets_logging_up(number):
    log = logging.getLogger("mylab")
    log.propagate = False
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("mylab says %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.info("step %d", number)


def silences():
    logging.disable(logging.CRITICAL)
    logging.getLogger().setLevel(logging.CRITICAL)
    logging.getLogger().handlers.clear()
    logging.getLogger("x").disabled = True


def speaks():
    logging.error("something went wrong")
    logging.getLogger("x").warning("here too")
    logging.getLogger("mylab").info("propagates")


def test_logging_is_set_up_anew_for_each_attempt(house, on_slot):
    async def scenario(slot):
        for number in range(3):
            told = await house.run(slot, sets_logging_up, {"number": number})
            assert told.lines == [("stdout", f"mylab says step {number}")]
        await house.run(slot, silences)
        told = await house.run(slot, speaks)
        said = ["ERROR root: something went wrong", "WARNING x: here too", "INFO mylab: propagates"]
        assert told.said("log") == said

    on_slot(scenario)


def holds_back():
    from logging.handlers import MemoryHandler

    logging.getLogger("held").addHandler(MemoryHandler(100, target=logging.StreamHandler(sys.stdout)))
    logging.getLogger("held").warning("at the end")


def test_a_handler_that_goes_writes_what_it_holds(one):
    assert one(holds_back).said("stdout") == ["at the end"]


def alarms_soon():
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("the other task's")))
    signal.setitimer(signal.ITIMER_REAL, 0.2)


def waits():
    time.sleep(0.5)
    return "no alarm"


def test_no_alarm_of_another_task(house, on_slot):
    async def scenario(slot):
        await house.run(slot, alarms_soon)
        assert (await house.run(slot, waits)).value() == "no alarm"

    on_slot(scenario)


def gives_privileges_up():
    import ctypes

    ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS, which nothing takes back


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
def test_what_can_not_be_put_back_retires_the_worker_and_is_said_once(house, on_process, caplog):
    caplog.set_level(logging.DEBUG, "phasenb.executors")

    async def scenario(executor):
        first, told = await in_a_task(house, executor, gives_privileges_up)
        assert told.outcome.error is None
        second, _ = await in_a_task(house, executor, draws)
        assert second != first
        (said,) = [record.getMessage() for record in caplog.records if "is retired" in record.getMessage()]
        assert said == f"{first} is retired: it can't put back ['filters of system calls']"

    on_process(scenario, workers=1)


def breaks_pandas():
    import pandas

    def broken(*_):
        raise RuntimeError("broken by a phase")

    pandas.set_option("display.max_rows", 7)
    pandas.reset_option = pandas.set_option = broken


def rows_shown():
    import pandas

    return pandas.get_option("display.max_rows")


def test_a_library_that_can_not_be_put_back_retires_the_worker(house, on_process):
    async def scenario(executor):
        first, told = await in_a_task(house, executor, breaks_pandas)
        assert told.outcome.error is None
        second, told = await in_a_task(house, executor, rows_shown)
        assert second != first
        assert told.value() != 7

    on_process(scenario, workers=1)


@pytest.mark.parametrize(
    "change",
    [
        "import sys, types; sys.modules['fake'] = types.ModuleType('fake')",
        "import sys; sys.modules['json5x'] = None",
        "import sys, types; from importlib.machinery import ModuleSpec as S; m = types.ModuleType('fake');"
        "m.__spec__ = S('fake', None); sys.modules['fake'] = m",
        "import csv, sys, types; m = types.ModuleType('fake'); m.__spec__ = csv.__spec__; sys.modules['fake'] = m",
        "import sys, types, json; sys.modules['json'] = types.SimpleNamespace(loads=lambda text: 'fake')",
        "import sys, json; del sys.modules['json']",
        "import sys, json; del sys.modules['json']; import json",
        "import logging; logging.addLevelName(25, 'NOTE')",
    ],
)
def test_what_a_phase_registers_for_good_retires_the_worker(house, on_process, change):
    async def scenario(executor):
        first, told = await in_a_task(house, executor, changes, {"source": change})
        assert told.outcome.error is None
        second, _ = await in_a_task(house, executor, draws)
        assert second != first

    on_process(scenario, workers=1)


def replaces(name):
    import importlib
    import unittest.mock

    module = importlib.import_module(name)
    sys.modules[name] = unittest.mock.MagicMock()
    sys.put_in_its_place = module


def is_replaced(name):
    import importlib

    return importlib.import_module(name) is not sys.put_in_its_place


def test_a_module_that_a_phase_put_in_the_place_of_another_is_gone_in_the_next_phase(house, on_slot):
    async def scenario(slot):
        for name in ("json", "colorsys"):  # the worker's own, and one that the phase imports first
            assert (await house.run(slot, replaces, {"name": name})).outcome.error is None
            assert (await house.run(slot, is_replaced, {"name": name})).value() is False

    on_slot(scenario)


LAB = """
import decimal, logging, os, socket, warnings
import matplotlib, numpy, pandas

warnings.filterwarnings("ignore", message="known harmless")
logging.getLogger("lab").setLevel(logging.DEBUG)
os.environ.setdefault("KMP_LAB", "4")
"""
SETTINGS = """
numpy.seterr(invalid="raise")
numpy.set_printoptions(precision=3)
pandas.set_option("display.precision", 2)
matplotlib.rcParams["figure.dpi"] = 33
decimal.getcontext().prec = 7
socket.setdefaulttimeout(12)
"""


@pytest.fixture
def installed(tmp_path):
    """A folder of installed packages: one that registers things when it is imported, one that also changes settings."""
    site = tmp_path / "site-packages"
    site.mkdir()
    (site / "lab.py").write_text(LAB)
    (site / "strict_lab.py").write_text(LAB + SETTINGS)
    return str(site)


def imports(site, name, own=""):
    """What an import of ``name`` set up, and then some changes of the phase's own."""
    import importlib

    sys.path.insert(0, site)
    importlib.import_module(name)
    found = settings()
    exec(own, {})
    return found


def settings():
    import decimal
    import os
    import socket
    import warnings

    import matplotlib
    import numpy
    import pandas

    return [
        numpy.geterr()["invalid"],
        numpy.get_printoptions()["precision"],
        pandas.get_option("display.precision"),
        matplotlib.rcParams["figure.dpi"],
        decimal.getcontext().prec,
        socket.getdefaulttimeout(),
        logging.getLogger("lab").level,
        os.environ.get("KMP_LAB"),
        [str(entry) for entry in warnings.filters],
    ]


OWN = """
import decimal, logging, numpy, warnings
numpy.seterr(all="ignore"); decimal.getcontext().prec = 3; logging.getLogger("lab").setLevel(50)
warnings.simplefilter("error")
"""


def test_what_an_import_sets_up_is_there_in_each_attempt_of_the_task(house, on_process, installed):
    async def scenario(executor):
        values = {"site": installed, "name": "strict_lab", "own": OWN}
        slot = await executor.reserve("ada", None)
        told = [(await house.run(slot, imports, values)).value() for _ in range(3)]
        await slot.release()
        assert told[0][:8] == ["raise", 3, 2, 33.0, 7, 12.0, logging.DEBUG, "4"]
        assert any("known harmless" in entry for entry in told[0][8])
        assert told[1:] == told[:2]
        # Another task, that does not import it, has a process in which nobody did.
        other, plain = await in_a_task(house, executor, settings)
        assert other != slot.worker
        assert plain.value()[:8] == ["warn", 8, 6, 100.0, 28, None, logging.NOTSET, None]
        _, again = await in_a_task(house, executor, imports, values)
        assert again.value() == told[0]

    on_process(scenario, workers=1)


def test_what_an_import_only_adds_is_there_in_each_task_of_the_worker(house, on_process, installed):
    async def scenario(executor):
        values = {"site": installed, "name": "lab", "own": OWN}
        told = [await in_a_task(house, executor, imports, values) for _ in range(3)]
        assert len({worker for worker, _ in told}) == 1, "the worker was retired"
        first, *others = [story.value() for _, story in told]
        assert first[:2] + first[6:8] == ["warn", 8, logging.DEBUG, "4"]
        assert any("RankWarning" in entry for entry in first[8]), "numpy's own filter"
        assert others == [first, first]

    on_process(scenario, workers=1)


FINDS = """
import os
os.environ["KMP_FOUND"] = os.environ["FOUND_KEY"]
"""
COPIES = """
import os
os.environ.setdefault("COPIED_KEY", os.environ.get("FOUND_KEY", "none"))
"""
READS = """
import os
os.environ.update(line.strip().split("=") for line in open(".env"))
"""
SPEAKS = """
import logging
logging.getLogger("speaks").addHandler(logging.NullHandler())
"""


def imports_in_a_pool(site, names):
    """Lazily, in the threads of a pool, while the phase sets itself up."""
    import importlib
    import os
    import warnings
    from concurrent.futures import ThreadPoolExecutor
    from threading import Event

    sys.path.insert(0, site)
    sys.begun, sys.go_on = Event(), Event()
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(importlib.import_module, name) for name in names]
        sys.begun.wait(20)
        os.environ["KMP_OF_TASK"] = os.environ["PGPASSWORD"] = "owls of the task"
        warnings.filterwarnings("ignore", message="of the task")
        logging.getLogger("of.the.task").addHandler(logging.NullHandler())
        sys.go_on.set()
        assert all(future.result() for future in futures)


def left_by_tasks():
    import os
    import warnings

    variables = {name: value for name, value in os.environ.items() if "owls" in value}
    loggers = [name for name in ("speaks", "of.the.task") if logging.getLogger(name).handlers]
    return variables, loggers, [str(entry) for entry in warnings.filters if "of the task" in str(entry)]


def logs_before_it_imports(site, path):
    import importlib

    log = logging.getLogger("speaks")
    log.setLevel(logging.DEBUG)
    log.addHandler(logging.FileHandler(path))
    sys.path.insert(0, site)
    importlib.import_module("speaks")


def password():
    logging.getLogger("speaks").debug("the next task's password")


@pytest.mark.parametrize("source", [FINDS, COPIES, READS])
def test_no_variable_that_an_import_took_from_a_task_is_there_in_the_next(
    house, on_process, tmp_path, monkeypatch, source
):
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "takes.py").write_text(source)
    (tmp_path / ".env").write_text("READ_KEY=owls of a file\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OF_THE_HOST", "owls of the host")

    async def scenario(executor):
        values = {"site": str(tmp_path / "site-packages"), "name": "takes"}
        first, told = await in_a_task(
            house, executor, only_imports, values, secrets={"FOUND_KEY": "env:OF_THE_HOST"}
        )  # fmt: skip
        assert told.outcome.error is None
        second, told = await in_a_task(house, executor, left_by_tasks)
        assert told.value()[0].keys() <= {"OF_THE_HOST"}
        assert second != first

    on_process(scenario, workers=1)


def only_imports(site, name):
    import importlib

    sys.path.insert(0, site)
    importlib.import_module(name)


def test_what_a_phase_sets_while_a_thread_of_it_imports_is_gone_in_the_next_task(house, on_process, tmp_path):
    site = tmp_path / "site-packages"
    site.mkdir()
    (site / "slow_lab.py").write_text("import sys\nsys.begun.set()\nsys.go_on.wait(20)\n")

    async def scenario(executor):
        values = {"site": str(site), "names": ["slow_lab", "slow_lab"]}
        first, told = await in_a_task(house, executor, imports_in_a_pool, values)
        assert told.outcome.error is None
        second, told = await in_a_task(house, executor, left_by_tasks)
        assert told.value() == ({}, [], [])
        assert second != first

    on_process(scenario, workers=1)


def test_how_a_phase_set_a_logger_up_before_its_librarys_import_is_gone_in_the_next_task(house, on_process, tmp_path):
    site, path = tmp_path / "site-packages", tmp_path / "first.log"
    site.mkdir()
    (site / "speaks.py").write_text(SPEAKS)

    async def scenario(executor):
        values = {"site": str(site), "path": str(path)}
        first, told = await in_a_task(house, executor, logs_before_it_imports, values)
        assert told.outcome.error is None
        second, _ = await in_a_task(house, executor, password)
        assert second == first, "a handler that writes nothing retires no worker"
        assert path.read_text() == ""
        _, told = await in_a_task(house, executor, left_by_tasks)
        assert told.value()[1] == ["speaks"]

    on_process(scenario, workers=1)


COMMON = [
    "numpy", "pandas", "sklearn.linear_model", "matplotlib.pyplot", "requests", "urllib3", "httpx", "pydantic", "tqdm",
    "langgraph.graph", "joblib", "scipy.stats", "sqlalchemy", "IPython", "dateutil", "yaml", "asyncio",
]  # fmt: skip


def test_no_common_library_retires_the_worker_that_imports_it(house, on_process):
    async def scenario(executor):
        first, _ = await in_a_task(house, executor, left_by_tasks)
        for name in COMMON:
            _, told = await in_a_task(house, executor, only_imports, {"site": "/nothing", "name": name})
            assert (name, told.outcome.error) == (name, None)
            second, _ = await in_a_task(house, executor, left_by_tasks)
            assert (name, second) == (name, first)

    on_process(scenario, workers=1)


def freezes_the_clock():
    from freezegun import freeze_time

    freeze_time("2001-02-03").start()


def year():
    return time.gmtime().tm_year


def test_a_clock_that_stays_frozen_retires_the_worker(house, on_process):
    async def scenario(executor):
        first, _ = await in_a_task(house, executor, freezes_the_clock)
        second, told = await in_a_task(house, executor, year)
        assert second != first
        assert told.value() > 2001

    on_process(scenario, workers=1)


def shows_a_bar():
    from tqdm import tqdm

    for _ in tqdm(range(3)):
        pass


def test_the_thread_of_a_progress_bar_retires_no_worker(house, on_process):
    async def scenario(executor):
        first, _ = await in_a_task(house, executor, shows_a_bar)
        second, _ = await in_a_task(house, executor, shows_a_bar)
        assert second == first

    on_process(scenario, workers=1)


class Ends:
    """Garbage in a cycle, that says when it goes."""

    def __init__(self):
        self.me = self

    def __del__(self):
        print("garbage of the task before")


def leaves_garbage():
    gc.disable()
    Ends()


def collects():
    gc.collect()


def test_what_a_task_left_to_be_collected_is_gone_when_the_next_begins(house, on_process):
    async def scenario(executor):
        await in_a_task(house, executor, leaves_garbage)
        _, told = await in_a_task(house, executor, collects)
        assert told.lines == []

    on_process(scenario, workers=1)


UNCHANGED = """
from phasenb.executors.baseline import Baseline
baseline = Baseline()
baseline.take()
baseline.put_back()
print(baseline.stays)
"""


def test_each_probe_has_a_name_of_its_own_and_finds_nothing_where_nothing_changed():
    names = [probe.name for probe in (*PROBES, *LIBRARIES)]
    assert len(set(names)) == len(names)
    told = subprocess.run(
        [sys.executable, "-c", UNCHANGED], capture_output=True, text=True, check=True
    )  # fmt: skip
    assert told.stdout == "set()\n", told.stderr
