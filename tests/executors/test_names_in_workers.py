"""A notebook's names in real workers: pools of processes under all start methods, and what else needs a process."""

import asyncio
import threading

import pytest

from phasenb.agents.packing import code_json, pack
from phasenb.codecs import decode
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.core.reports import Outcome
from phasenb.executors.process import ProcessExecutor
from tests.codecs.names.notebook import run

NOTEBOOKS = [
    "pools_fork", "pools_spawn", "pools_forkserver", "forkserver_kept", "joblib_loky", "subclasses_of_a_library",
    "read_back", "caches_and_dispatch", "functions_share_globals", "langgraph", "threads", "two_tasks_in_one_worker",
    "type_hints",
]  # fmt: skip


class Launched:
    def __init__(self, outcome, folder):
        self._outcome = outcome
        self._folder = folder

    def result(self):
        assert self._outcome.error is None, self._outcome.error.traceback or self._outcome.error.message
        return decode(self._outcome.output, self._folder)


@pytest.fixture(scope="module")
def on_loop():
    """``on_loop(coroutine)``: its result, from a loop in a thread, as cells are not async."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(90)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def executor(on_loop):
    async def start():
        return ProcessExecutor(1)

    executor = on_loop(start())
    yield executor
    on_loop(executor.close())


@pytest.fixture
def launch(executor, on_loop, house, tmp_path, monkeypatch):
    """``launch(function, **inputs)``: one attempt in a warm worker."""
    monkeypatch.chdir(tmp_path)
    slot = on_loop(executor.reserve("ada", None))

    def launched(function, **inputs):
        code = code_json(pack(ExtendedAgent.of(function)))
        attempt = house.attempt(None, inputs, code=code)

        async def outcome():
            async for report in slot.run(attempt):
                last = report
            return last

        ended = on_loop(outcome())
        assert isinstance(ended, Outcome)
        return Launched(ended, house.folder)

    yield launched
    on_loop(slot.release())


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_names_mean_the_same_in_a_worker(name, launch, tmp_path):
    run(name, tmp_path, launch=launch)
