"""How long the host's loop stands for one launch in which everything is as large as its bound lets it be.

usage: python -m tests.benchmarks.largest SUBJECT N
A real host over a store on disk; a ticker on its loop tells the longest time that it had no turn.
"""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from phasenb.config.settings import Settings
from phasenb.dto import bounds
from phasenb.host import Host
from phasenb.web.identity import local_identity
from phasenb.web.message_handler import WebSocketMessageHandler


class Answers:
    """web.connection.Connection that keeps what is answered."""

    taken = 0

    def __init__(self):
        self.types = []

    def write(self, frame):
        self.types.append(json.loads(frame if isinstance(frame, str) else frame.wire)["type"])
        self.taken += 1

    def close(self, code, reason):
        raise ConnectionError(reason)


def message(number):
    """As many phases, rules of recovery, labels, variables, paths and inputs as there may be."""
    phases = [f"p{n}" for n in range(bounds.PHASES)]
    rules = [{"exception": f"package.Error{n}", "action": "abort"} for n in range(bounds.RULES)]
    own = {name: {"rules": rules if n < bounds.RULES_OF_ALL // bounds.RULES else []} for n, name in enumerate(phases)}
    options = {
        "phases": phases,
        "approve_before": phases,
        "recovery": {"defaults": {"rules": rules}, "phases": own},
        "labels": {f"label{n}": "x" * bounds.TEXT for n in range(bounds.LABELS)},
        "env": {f"VARIABLE{n}": "x" * 1000 for n in range(bounds.VARIABLES)},
    }
    places = [f"/somewhere/{n}" for n in range(bounds.PATHS)]
    runtime = {"python": "3.11.7", "executable": sys.executable, "cwd": "/", "host": "elsewhere", "sys_path": places}
    inputs = {f"input{n}": n for n in range(bounds.INPUTS)}
    return json.dumps(
        {"id": f"c{number}", "type": "launch", "code": "aGk=", "options": options, "runtime": runtime, "inputs": inputs}
    )


def launch(n):
    """The longest time that the loop stood, in ms; the median of ``n`` launches."""

    async def main():
        folder = tempfile.mkdtemp(prefix="phasenb-bench-")
        host = Host(Settings(store={"url": str(Path(folder) / "store.db")}), embedded=False)
        await host.start()
        answers = Answers()
        handler = WebSocketMessageHandler(answers, host.manager, host.hub, local_identity())
        handler.opened()
        await handler.receive(json.dumps({"id": "h", "type": "hello", "protocol": 1, "session": "s"}))
        stood = [await _longest_ms(handler, answers, message(number)) for number in range(n)]
        await host.stop()
        return sorted(stood)[n // 2]

    return asyncio.run(main())


async def _longest_ms(handler, answers, frame):
    longest, going, launched = 0.0, True, answers.types.count("launched")

    async def tick():
        nonlocal longest
        while going:
            began = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - began)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    await handler.receive(frame)
    while answers.types.count("launched") == launched:
        assert "error" not in answers.types, "the launch was refused"
        await asyncio.sleep(0.001)
    going = False
    await ticking
    return longest * 1000


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](int(sys.argv[2]))), flush=True)
