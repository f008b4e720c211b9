"""Log lines that a store could not take: the task's log says how many, once, where they would have been."""

import asyncio
import re
import sqlite3

import pytest

from phasenb.dto.events import PhaseLog
from phasenb.dto.phase import LogLine
from phasenb.errors import StoreUnavailable
from tests.store.conftest import START

TOLD = "[12 lines of output were lost while the store could not be written]"


def lines(task, first, *texts, attempt=1):
    made = tuple(LogLine(stream="stdout", at=START, text=text) for text in texts)
    return PhaseLog(task_id=task.task_id, phase="research", attempt=attempt, first_line=first, lines=made)


class Locked:
    def __init__(self, saver, tmp_path):
        saver._database.writer._connection.execute("PRAGMA busy_timeout = 20")
        self._other = sqlite3.connect(saver.url, isolation_level=None)
        self._other.execute("BEGIN IMMEDIATE")

    def mend(self):
        self._other.execute("ROLLBACK")
        self._other.close()


class Full:
    def __init__(self, saver, tmp_path):
        self._writer = saver._database.writer._connection
        (pages,) = self._writer.execute("PRAGMA page_count").fetchone()
        self._writer.execute(f"PRAGMA max_page_count = {pages}")

    def mend(self):
        self._writer.execute("PRAGMA max_page_count = 1000000")


class TakenAway:
    def __init__(self, saver, tmp_path):
        self._path, self._elsewhere = saver._location.path, tmp_path / "elsewhere.db"
        self._path.rename(self._elsewhere)

    def mend(self):
        self._elsewhere.rename(self._path)


async def settled(saver):
    while saver._database.writer.posted:
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("trouble", [Locked, Full, TakenAway])
@pytest.mark.parametrize("then", ["lines", "an event"])
def test_they_are_counted_and_said_once(file_saver, story, tmp_path, trouble, then):
    big = "x" * 20_000  # a full store has room for a little

    async def main():
        told = story()
        task = await told.tell(file_saver, [told.created(), told.started()])
        await file_saver.add_log(lines(task, 1, "before"))
        await settled(file_saver)
        wrong = trouble(file_saver, tmp_path)
        for first in range(2, 14, 3):
            await file_saver.add_log(lines(task, first, big, big, big))
            await settled(file_saver)
        with pytest.raises(StoreUnavailable):
            await file_saver.add_checkpoint(task.task_id, "research", 1, big)
        wrong.mend()
        if then == "lines":
            await file_saver.add_log(lines(task, 14, "after"))
        await file_saver.append(told.complete())
        return [line["text"] for line in await file_saver.logs(task.task_id)]

    before, *told, last = asyncio.run(main())
    if then == "lines":
        assert last == "after"
    else:
        told.append(last)
    assert before == "before"
    if trouble is Full:  # has room for a word in between
        assert sum(int(re.match(r"\[(\d+) lines of output were lost", line)[1]) for line in told) == 12
    else:
        assert told == [TOLD]


def test_each_attempt_and_task_has_its_own_count(file_saver, story, tmp_path):
    async def main():
        one, other = story(), story()
        for each in (one, other):
            await each.tell(file_saver, [each.created(), each.started()])
        wrong = TakenAway(file_saver, tmp_path)
        for task, attempt in ((one.task, 1), (one.task, 2), (other.task, 1)):
            await file_saver.add_log(lines(task, 1, "lost", attempt=attempt))
            await settled(file_saver)
        wrong.mend()
        await file_saver.append(one.complete())
        assert await file_saver.logs(other.task.task_id) == []
        return [(line["attempt"], line["text"]) for line in await file_saver.logs(one.task.task_id)]

    told = "[1 line of output was lost while the store could not be written]"
    assert asyncio.run(main()) == [(1, told), (2, told)]


def test_none_is_forgotten_where_saying_so_fails_too(file_saver, story, tmp_path):
    """A store that closes refuses what is queued: the lines of every attempt, and the new ones, stay counted."""

    async def main():
        told = story()
        task = await told.tell(file_saver, [told.created(), told.started()])
        wrong = TakenAway(file_saver, tmp_path)
        for attempt in (1, 2, 3):
            await file_saver.add_log(lines(task, 1, "lost", "lost", attempt=attempt))
            await settled(file_saver)
        wrong.mend()
        await file_saver.close()
        with pytest.raises(StoreUnavailable, match="it is closed"):
            await file_saver.add_log(lines(task, 3, "lost", attempt=3))
        with pytest.raises(StoreUnavailable, match="it is closed"):
            await file_saver.append(told.complete())
        return [(row["attempt"], count) for row, count in file_saver._lost_lines.taken(task.task_id)]

    assert asyncio.run(main()) == [(1, 2), (2, 2), (3, 3)]
