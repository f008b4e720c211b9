"""A store's file that somebody removes or replaces while a host uses it: nothing is told that is not on disk."""

import asyncio

import pytest

from phasenb.errors import StoreUnavailable
from phasenb.store.database import Database
from phasenb.store.location import locate


@pytest.fixture
def database(tmp_path):
    database = Database.open(locate(str(tmp_path / "store.db")))
    yield database
    database.close()


def count(cursor):
    return cursor.execute("SELECT count(*) FROM tasks").fetchone()[0]


def refused(database):
    for use in (
        lambda: database.read(count),
        lambda: database.writer.call(count),
        lambda: asyncio.run(aread(database)),
    ):
        with pytest.raises(StoreUnavailable, match="was removed or replaced while it was in use: put it back"):
            use()


async def aread(database):
    return await database.aread(count)


def test_a_removed_file_is_refused_and_one_that_is_put_back_is_used_again(database, tmp_path):
    path = database.location.path
    assert database.read(count) == 0
    path.rename(tmp_path / "elsewhere.db")
    refused(database)
    assert not path.exists(), "no empty store is made in its place"
    (tmp_path / "elsewhere.db").rename(path)
    assert database.read(count) == database.writer.call(count) == 0


def test_another_file_in_its_place_is_not_taken_for_it(database):
    path = database.location.path
    path.unlink()
    Database.open(database.location).close()
    refused(database)
