"""What feeds and thresholds ask of a store: what changed since a time, what failed in a window, by index."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from phasenb.dto.phase_result import ErrorInfo
from phasenb.store import statements as sql


def plan_of(saver, statement, **parameters):
    def explain(cursor):
        cursor.execute(f"EXPLAIN QUERY PLAN {statement.sql}", {**statement._fixed, **parameters})
        return " ".join(str(row[-1]) for row in cursor.fetchall())

    return saver._database.read(explain)


def test_tasks_that_changed_since_a_time(saver, story):
    async def main():
        old, new, hers = story(), story(), story("eve")
        for told in (old, new, hers):
            await saver.append(told.created())
        at = old.task.updated_at  # the story's clock: all three were made at this time
        await saver.append(new.started())
        just_after = at + timedelta(microseconds=1)
        assert {task.task_id for task in await saver.tasks("ada", changed_since=at)} == {old.task_id, new.task_id}
        assert [task.task_id for task in await saver.tasks("ada", changed_since=just_after)] == [new.task_id]
        assert await saver.tasks("ada", changed_since=just_after, before=new.task_id) == []
        assert await saver.tasks("ada", changed_since=just_after, session="nb:other") == []

    asyncio.run(main())


def test_when_tasks_changed_last(saver, story):
    async def main():
        assert await saver.changed_at("ada") is None
        mine, hers = story(), story("eve")
        for told in (mine, hers):
            await saver.append(told.created())
        await saver.append(mine.started())
        assert await saver.changed_at("ada") == mine.task.updated_at > hers.task.updated_at
        assert await saver.changed_at("eve", session=hers.task.session) == hers.task.updated_at
        assert await saver.changed_at("ada", session="nb:other") is None

    asyncio.run(main())


def test_failures_of_a_session_in_a_window(saver, story):
    async def main():
        mine, other = story(), story(session="nb:other")
        times = []
        for told in (mine, other):
            await saver.append(told.created())
            for attempt in (1, 2, 3):
                await saver.append(told.started(attempt=attempt))
                failed = told.failed(attempt=attempt)
                await saver.append(failed)
                if told is mine:
                    times.append(failed.results[0].ended_at)
        before = times[0] - timedelta(seconds=1)
        assert await saver.failures("ada", mine.session, before, 10) == times
        assert await saver.failures("ada", mine.session, before, 2) == times[1:]
        assert await saver.failures("ada", mine.session, times[1], 10) == times[2:]
        assert await saver.failures("ada", mine.session, times[2] + timedelta(days=1), 10) == []
        assert await saver.failures("eve", mine.session, before, 10) == []

    asyncio.run(main())


def test_a_secret_that_was_missing_is_no_failure_of_the_session(saver, story):
    async def main():
        told = story()
        await saver.append(told.created())
        error = ErrorInfo(type="phasenb.SecretUnavailable", message="not there")
        for attempt in (1, 2, 3, 4):
            await saver.append(told.started(attempt=attempt))
            failed = told.failed(attempt=attempt)
            if attempt > 2:
                failed = replace(failed, results=tuple(each.changed(error=error) for each in failed.results))
            await saver.append(failed)
        ever = datetime(2020, 1, 1, tzinfo=UTC)
        found = await saver.failures("ada", told.session, ever, 10)
        assert len(found) == 2
        assert await saver.failures("ada", told.session, ever, 1) == found[1:]

    asyncio.run(main())


def test_all_are_found_by_the_time_of_the_last_change(file_saver):
    asked = {"owner": "ada", "session": "nb:penguins"}
    changed = sql.newest_tasks(True, False, False, True)
    assert "tasks_changed" in plan_of(file_saver, changed, **asked, limit=3, changed_since="2026")
    for in_session in (False, True):
        plan = plan_of(file_saver, sql.newest_change(in_session), **asked)
        assert "tasks_changed" in plan
        assert "TEMP B-TREE" not in plan
    plan = plan_of(file_saver, sql.NEWEST_FAILURES, **asked, since="2026")
    assert "tasks_changed" in plan
    assert "SCAN results" not in plan
