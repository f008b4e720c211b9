"""Executors run real agents here: packed as a launch packs them, in real threads and worker processes."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from phasenb.agents.packing import code_json, pack
from phasenb.codecs import decode, encode
from phasenb.codecs.objects import ObjectFolder
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.core.reports import Attempt, LogChunk, Outcome
from phasenb.dto.phase import Step
from phasenb.executors.inline import InlineExecutor
from phasenb.executors.process import ProcessExecutor


class House:
    """Makes attempts of functions, and runs them to their end."""

    def __init__(self, tmp_path):
        self.url = str(tmp_path / "objects")
        self.folder = ObjectFolder(self.url)

    def attempt(self, code_of, values=None, **fields):
        code = fields.pop("code", None)
        if code is None and code_of is not None:
            code = code_json(pack(ExtendedAgent.of(code_of)))
        encoded = {name: encode(value, self.folder).value for name, value in (values or {}).items()}
        defaults = {"task_id": "t", "phase": "implementation", "attempt": 1, "owner": "ada", "agent": None}
        return Attempt(**{**defaults, "code": code, "values": encoded, "objects_url": self.url, **fields})

    async def run(self, slot, code_of, values=None, **fields):
        return await self.follow(slot.run(self.attempt(code_of, values, **fields)))

    async def follow(self, run, hear=lambda report: None):
        """The attempt's whole story, once it has ended; ``hear`` gets each report as it comes."""
        reports = []
        async for report in run:
            reports.append(report)
            hear(report)
        assert isinstance(reports[-1], Outcome)
        assert not any(isinstance(report, Outcome) for report in reports[:-1])
        chunks = [report for report in reports if isinstance(report, LogChunk)]
        lines = [(line.stream, line.text) for chunk in chunks for line in chunk.lines]
        return SimpleNamespace(
            outcome=reports[-1],
            reports=reports,
            steps=[report for report in reports if isinstance(report, Step)],
            chunks=chunks,
            lines=lines,
            said=lambda stream: [text for each, text in lines if each == stream],
            value=lambda: decode(reports[-1].output, self.folder),
        )

    async def until_message(self, run, message):
        """Read the run until a step says ``message``."""
        async for report in run:
            if isinstance(report, Step) and report.message == message:
                return
        raise AssertionError("the attempt ended before")

    async def until(self, holds, seconds=20.0):
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, "it never came to hold"
            await asyncio.sleep(0.01)


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


@pytest.fixture
def on_process():
    """Run ``scenario(executor)`` with a process executor, and end its workers."""

    def play(scenario, **options):
        async def main():
            executor = ProcessExecutor(options.pop("workers", 2), **options)
            try:
                return await asyncio.wait_for(scenario(executor), 90)
            finally:
                await executor.close()

        return asyncio.run(main())

    return play


@pytest.fixture
def on_slot(on_process):
    """Run ``scenario(slot)`` with one worker's slot."""

    def play(scenario):
        async def with_slot(executor):
            slot = await executor.reserve("ada", None)
            try:
                return await scenario(slot)
            finally:
                await slot.release()

        return on_process(with_slot)

    return play


@pytest.fixture
def one(house, on_slot):
    """Run one attempt of an agent in a worker: its whole story."""
    return lambda agent, values=None, **fields: on_slot(lambda slot: house.run(slot, agent, values, **fields))


@pytest.fixture
def on_inline():
    def play(scenario, **options):
        async def main():
            executor = InlineExecutor(**options)
            try:
                return await asyncio.wait_for(scenario(executor), 60)
            finally:
                await executor.close()

        return asyncio.run(main())

    return play
