"""The writer: groups are one transaction, a refusal spares the others, any thread and any loop may ask."""

import asyncio
import multiprocessing
import sqlite3
import threading

import pytest

from phasenb.dto.events import PhaseLog
from phasenb.dto.phase import LogLine
from phasenb.errors import Conflict, StoreUnavailable
from phasenb.store.faults import unavailable
from phasenb.store.saver import MemorySaver
from phasenb.store.writer import Writer, nothing


@pytest.fixture
def connection(tmp_path):
    opened = sqlite3.connect(tmp_path / "plain.db", isolation_level=None, check_same_thread=False)
    opened.execute("CREATE TABLE t (n INTEGER PRIMARY KEY CHECK (n < 100))")
    opened.execute("PRAGMA journal_mode = WAL")
    return opened


@pytest.fixture
def writer(connection):
    made = Writer(connection, "plain.db")
    yield made
    made.close()


@pytest.fixture
def numbers(tmp_path):
    """What another connection sees: the committed rows."""
    reader = sqlite3.connect(tmp_path / "plain.db")
    yield lambda: [n for (n,) in reader.execute("SELECT n FROM t ORDER BY n")]
    reader.close()


def insert(n):
    return lambda cursor: cursor.execute("INSERT INTO t VALUES (?)", (n,)) and n


class Gate:
    """A job that holds the writer, so that what is asked meanwhile becomes one group."""

    def __init__(self):
        self.entered, self.opened = threading.Event(), threading.Event()

    def __call__(self, cursor):
        self.entered.set()
        assert self.opened.wait(10)


async def held(writer):
    gate = Gate()
    waiting = asyncio.create_task(writer.run(gate))
    await asyncio.to_thread(gate.entered.wait, 10)
    return gate, waiting


async def together(gate, writer, jobs):
    """The answers of jobs that all wait when the gate opens: tasks start in order, and the opening comes after them."""
    asked = [asyncio.create_task(writer.run(job)) for job in jobs]
    asyncio.get_running_loop().call_soon(gate.opened.set)
    return await asyncio.gather(*asked, return_exceptions=True)


def statements_of(connection):
    seen = []
    connection.set_trace_callback(seen.append)
    return seen


def test_one_wait_for_a_lock_answers_all_that_wait(writer, connection, tmp_path, numbers):
    other = sqlite3.connect(tmp_path / "plain.db", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA busy_timeout = 20")

    async def main():
        gate, waiting = await held(writer)
        seen = statements_of(connection)

        def refused_while_another_process_is_quicker(cursor):
            cursor.execute("ROLLBACK")
            other.execute("BEGIN IMMEDIATE")
            raise ValueError

        jobs = [insert(1), refused_while_another_process_is_quicker, *(insert(n) for n in range(2, 20))]
        answers = await together(gate, writer, jobs)
        await waiting
        assert {type(answer) for answer in answers} == {StoreUnavailable}
        assert seen.count("BEGIN IMMEDIATE") == 2  # the group's, and the one that found the lock

        seen.clear()
        gate.opened.clear()
        answers = await asyncio.gather(*(writer.run(insert(n)) for n in range(20)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {StoreUnavailable}
        assert seen.count("BEGIN IMMEDIATE") <= 2  # the first of them may have gone alone

    asyncio.run(main())
    other.execute("ROLLBACK")
    other.close()
    assert writer.call(insert(7)) == 7
    assert numbers() == [7]


def test_requests_that_wait_are_one_transaction(writer, connection, numbers):
    async def main():
        gate, waiting = await held(writer)
        seen = statements_of(connection)
        assert await together(gate, writer, [insert(n) for n in range(20)]) == list(range(20))
        await waiting
        group = seen[seen.index("COMMIT") + 1 :]  # the first one is the gate's own
        assert (group.count("BEGIN IMMEDIATE"), group.count("COMMIT")) == (1, 1)
        assert len(group) == 22

    asyncio.run(main())
    assert numbers() == list(range(20))


def test_a_lone_request_is_a_transaction_of_its_own(writer, connection, numbers):
    seen = statements_of(connection)
    assert writer.call(insert(1)) == 1
    assert [text.split(" ")[0] for text in seen] == ["BEGIN", "INSERT", "COMMIT"]
    assert numbers() == [1]


def test_a_refusal_in_a_group_undoes_itself_alone(writer, numbers):
    def half_then_refused(cursor):
        cursor.execute("INSERT INTO t VALUES (50)")
        raise Conflict("task", "no")

    async def main():
        gate, _ = await held(writer)
        jobs = [insert(1), half_then_refused, insert(2), insert(1), insert(200), insert(3)]
        return await together(gate, writer, jobs)

    answers = asyncio.run(main())
    assert [answers[place] for place in (0, 2, 5)] == [1, 2, 3]
    assert [type(answers[place]) for place in (1, 3, 4)] == [Conflict, StoreUnavailable, StoreUnavailable]
    assert numbers() == [1, 2, 3]


def test_a_lone_refusal_undoes_itself(writer, numbers):
    def refused(cursor):
        cursor.execute("INSERT INTO t VALUES (50)")
        raise Conflict("task", "no")

    with pytest.raises(Conflict):
        writer.call(refused)
    writer.call(insert(1))
    assert numbers() == [1]


def test_a_request_that_breaks_the_transaction_costs_the_others_nothing(writer, numbers):
    def lose_transaction(cursor):
        cursor.execute("ROLLBACK")  # what SQLite does by itself when the disk is full
        raise sqlite3.OperationalError("database or disk is full")

    async def main():
        gate, _ = await held(writer)
        return await together(gate, writer, [insert(1), lose_transaction, insert(2)])

    answers = asyncio.run(main())
    assert [type(answer) for answer in answers] == [int, StoreUnavailable, int]
    writer.call(insert(3))
    assert numbers() == [1, 2, 3]


def test_nobody_is_answered_before_the_commit(writer, numbers):
    async def main():
        for n in range(20):
            await writer.run(insert(n))
            assert numbers()[-1] == n

    asyncio.run(main())


def test_posted_jobs_come_before_later_requests(writer, numbers):
    writer.post(insert(1))
    writer.call(lambda cursor: cursor.execute("DELETE FROM t"))
    assert numbers() == []


def test_what_was_posted_is_waited_for_until_it_is_committed(writer):
    go = threading.Event()
    writer.post(lambda cursor: (go.wait(10), insert(1)(cursor)))
    assert [writer.posted, writer.posted] == [True, True]
    go.set()
    writer.call(nothing)
    assert not writer.posted
    writer.post(lambda cursor: cursor.execute("nonsense"))
    writer.call(nothing)
    assert not writer.posted


def test_a_posted_job_is_done_without_anyone_asking(writer, numbers):
    done = threading.Event()
    writer.post(lambda cursor: (insert(1)(cursor), done.set()))
    assert done.wait(10)
    writer.close()
    assert numbers() == [1]


def test_close_does_what_waits_and_refuses_what_comes_later(writer, numbers):
    for n in range(10):
        writer.post(insert(n))
    writer.close()
    writer.close()
    assert numbers() == list(range(10))
    with pytest.raises(StoreUnavailable, match="it is closed"):
        writer.post(insert(11))


def test_a_caller_that_left_and_a_loop_that_closed_harm_nobody(writer, numbers):
    gate = Gate()

    async def leave():
        staying = asyncio.create_task(writer.run(gate))
        await asyncio.to_thread(gate.entered.wait, 10)
        leaving = asyncio.create_task(writer.run(insert(1)))
        asyncio.get_running_loop().call_soon(leaving.cancel)  # once it has asked
        await asyncio.wait([leaving])
        assert not staying.done()

    asyncio.run(leave())
    gate.opened.set()
    writer.call(insert(2))
    assert numbers() == [1, 2]


def test_many_threads_and_loops_write_at_once(file_saver, story):
    """8 threads, each with its own loop and 8 tasks at a time, while others read."""
    failures = []

    async def one_loop():
        async def one_task():
            told = story()
            task = await told.tell(file_saver)
            assert (await file_saver.find(told.task_id)).task == task
            assert len(await file_saver.events(told.task_id, 0, 100)) == 8

        await asyncio.gather(*(one_task() for _ in range(8)))

    def run():
        try:
            asyncio.run(one_loop())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(file_saver.view("ada", "nb:penguins").tasks()) == 64


def test_of_many_racing_decisions_exactly_one_wins(file_saver, story):
    async def main():
        told = story()
        await file_saver.append(told.created())
        created = told.task
        rivals = []
        for _ in range(20):
            told.task, told._seq = created, 1
            rivals.append(told.started())
        answers = await asyncio.gather(*map(file_saver.append, rivals), return_exceptions=True)
        assert sum(not isinstance(answer, Conflict) for answer in answers) == 1
        assert len(await file_saver.events(told.task_id, 0, 10)) == 2

    asyncio.run(main())


def test_log_lines_ride_with_the_next_event(file_saver, story):
    async def main():
        told = story()
        await file_saver.append(told.created())
        line = LogLine(stream="stdout", text="x", at=told.task.created_at)
        for number in range(100):
            await file_saver.add_log(
                PhaseLog(task_id=told.task_id, phase="research", attempt=1, first_line=number + 1, lines=(line,))
            )
        await file_saver.append(told.started())
        with sqlite3.connect(file_saver.url) as other:
            assert other.execute("SELECT count(*) FROM logs").fetchone() == (100,)

    asyncio.run(main())


def _open_and_tell(url, barrier, story_class):
    async def main():
        saver = MemorySaver.open(url)
        for _ in range(10):
            await story_class().tell(saver)
        await saver.close()
        return saver.epoch

    barrier.wait()
    asyncio.run(main())


def test_processes_may_open_and_write_one_new_store_at_once(tmp_path, story):
    # fork: the story class of a conftest has no importable name.
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    url = str(tmp_path / "phasenb.db")
    processes = [context.Process(target=_open_and_tell, args=(url, barrier, story)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    saver = MemorySaver.open(url)
    assert len(saver.view("ada", "nb:penguins").tasks()) == 40
    asyncio.run(saver.close())


def test_a_reader_does_not_wait_for_the_writer(file_saver, story):
    async def main():
        told = story()
        await told.tell(file_saver)
        gate, waiting = await held(file_saver._database.writer)
        assert len(await file_saver.results("ada")) == 3
        assert len(file_saver.view("ada", told.session).events()) == 8
        gate.opened.set()
        await waiting

    asyncio.run(main())


def test_every_known_fault_has_a_plain_sentence():
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    assert str(unavailable("x.db", error)) == (
        "the store x.db can't be used: the disk is full (SQLite: database or disk is full)"
    )
    assert "SQLite says: odd" in str(unavailable("x.db", sqlite3.InterfaceError("odd")))
