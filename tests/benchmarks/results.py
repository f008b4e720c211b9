"""Many results over the network: as an Arrow stream against JSON, from one server and one store in one run.

usage: python -m tests.benchmarks.results arrow_results N
"""

import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROUNDS = 3
PHASES = ("research", "planning", "implementation")


def arrow_results(n):
    """``{"arrow_s", "json_s", "ratio"}``: medians of whole ``Client.results()`` calls that give ``n`` rows."""
    from phasenb.client.client import Client
    from phasenb.codecs import result_tables
    from tests.benchmarks.server import start_server

    folder = Path(tempfile.mkdtemp(prefix="phasenb-bench-"))
    _fill(folder / "server.db", n)
    process, url, token = start_server(folder)
    installed = result_tables.arrow_installed
    found = {"arrow": [], "json": []}
    try:
        with Client(url, token=token, session="bench") as client:
            for _ in range(ROUNDS):
                for way, taken in found.items():
                    result_tables.arrow_installed = installed if way == "arrow" else lambda: False
                    began = time.perf_counter()
                    frame = client.results(scope="session")
                    taken.append(time.perf_counter() - began)
                    assert len(frame) == n, len(frame)
    finally:
        result_tables.arrow_installed = installed
        process.terminate()
        process.wait(30)
    arrow_s, json_s = statistics.median(found["arrow"]), statistics.median(found["json"])
    return {"arrow_s": round(arrow_s, 2), "json_s": round(json_s, 2), "ratio": round(json_s / arrow_s, 2)}


def _fill(path, n):
    """A store with ``n`` results of ``n / 3`` finished tasks, as MemorySaver writes them."""
    import asyncio

    from phasenb.dto.base import new_ulid
    from phasenb.store.saver import MemorySaver
    from phasenb.web.identity import operating_system_user

    saver = MemorySaver.open(path)
    asyncio.run(saver.close())
    owner, at = operating_system_user(), datetime(2026, 1, 1, tzinfo=UTC)
    tasks, results = [], []
    for number in range(n // len(PHASES)):
        task_id = new_ulid()
        tasks.append((task_id, task_id[::-1], owner, "bench", "completed", 8, at.isoformat(), "{}"))
        for place, phase in enumerate(PHASES):
            body = _result(phase, at + timedelta(seconds=number * 3 + place), number)
            results.append((task_id, phase, 1, "phase", 1, "complete", body))
    with sqlite3.connect(path) as connection:
        connection.executemany(
            "INSERT INTO tasks (task_id, reversed_id, owner, session, state, seq, updated_at, snapshot) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            tasks,
        )
        connection.executemany(
            "INSERT INTO results (task_id, phase, attempt, kind, revision, status, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
            results,
        )
    connection.close()


def _result(phase, at, number):
    from phasenb.dto.phase_result import PhaseResult, ResultStatus

    return PhaseResult(
        phase=phase,
        attempt=1,
        status=ResultStatus.COMPLETE,
        started_at=at,
        ended_at=at + timedelta(seconds=0.5),
        duration_s=0.5,
        output={"rows": number, "best": number / 7},
        output_type="dict",
        output_bytes=30,
        worker=f"process-{number % 8}",
        metrics={"loss": 1 / (number + 1)},
    ).model_dump_json()


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](int(sys.argv[2]))), flush=True)
    os._exit(0)
