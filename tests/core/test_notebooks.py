"""Which notebook a connection is in, and that it stays right when the store or the kernel's path are not up to date."""

import asyncio
import sqlite3

import pytest

from phasenb.core.notebooks import Notebooks, moved, session_of
from phasenb.errors import StoreUnavailable
from phasenb.store import database
from phasenb.store.saver import MemorySaver
from phasenb.testing import FakeStore


class Refusing(FakeStore):
    refuses = 0

    async def move_notebooks(self, old, new):
        if self.refuses:
            self.refuses -= 1
            raise StoreUnavailable("phasenb.db", "locked")
        await super().move_notebooks(old, new)


@pytest.mark.parametrize(
    ("path", "old", "new", "now"),
    [
        ("/w/a.ipynb", "/w/a.ipynb", "/w/b.ipynb", "/w/b.ipynb"),
        ("/w/sub/a.ipynb", "/w/sub", "/v", "/v/a.ipynb"),
        ("/w/sub.ipynb", "/w/sub", "/v", "/w/sub.ipynb"),
        ("/w/sub/a.ipynb", "/w/sub", None, None),
    ],
)
def test_where_a_file_is_after_a_move(path, old, new, now):
    assert moved(path, old, new) == now


def test_names_are_those_that_earlier_releases_gave():
    assert session_of("/work/My report (final).ipynb") == "nb:My-report-final-8f904872"
    assert session_of("/work/job.py", "py") == "py:job-6f451bd4"
    assert session_of("/work/分析.ipynb").startswith("nb:unnamed-")
    assert session_of("/work/caf\udce9.py", "py") == session_of("/work/caf\\udce9.py", "py")


def test_the_kernels_server_knows_better_than_the_kernel():
    """jupyter_server#1341: after a rename the kernel's own variable is the old path until it is restarted."""

    async def main():
        notebooks = Notebooks(FakeStore(), {})
        kernels = {"k1": "/w/report.ipynb"}

        async def path_of(kernel):
            return kernels.get(kernel)

        notebooks.path_of_kernel = path_of
        known = await notebooks.open("ada", "/w/Untitled.ipynb", "k1")
        assert (known.path, known.session) == ("/w/report.ipynb", session_of("/w/report.ipynb"))
        assert (await notebooks.open("ada", "/w/Untitled.ipynb", "other")).path == "/w/Untitled.ipynb"
        assert (await notebooks.open("ada", "/w/Untitled.ipynb", None)).session == session_of("/w/Untitled.ipynb")

    asyncio.run(main())


def test_a_connection_goes_on_in_its_session_and_a_new_notebook_at_its_old_path_has_another():
    async def main():
        notebooks = Notebooks(FakeStore(), {})
        first = await notebooks.open("ada", "/w/a.ipynb", None)
        await notebooks.changed("/w/a.ipynb", "/w/b.ipynb")
        assert (first.path, first.session) == ("/w/b.ipynb", session_of("/w/a.ipynb"))
        second = await notebooks.open("ada", "/w/a.ipynb", None)
        assert second.session not in (first.session, session_of("/w/b.ipynb"))
        await notebooks.changed("/w/b.ipynb", None)
        assert (first.path, second.path) == (None, "/w/a.ipynb")

    asyncio.run(main())


def test_a_move_that_the_store_refuses_is_recorded_before_the_next_question():
    async def main():
        store = Refusing()
        notebooks = Notebooks(store, {})
        session = (await notebooks.open("ada", "/w/a.ipynb", None)).session
        store.refuses = 2
        for old, new in (("/w/a.ipynb", "/w/b.ipynb"), ("/w/b.ipynb", "/w/c.ipynb")):
            with pytest.raises(StoreUnavailable):
                await notebooks.changed(old, new)
        assert (await notebooks.open("ada", "/w/c.ipynb", None)).session == session

    asyncio.run(main())


def test_a_move_that_waits_for_the_store_keeps_nobody_else_out(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    store = MemorySaver.open(tmp_path / "phasenb.db", artifacts=str(tmp_path / "data"))
    other = sqlite3.connect(tmp_path / "phasenb.db", isolation_level=None)

    async def main():
        notebooks = Notebooks(store, {})
        names = ("/w/a.ipynb", "/w/b.ipynb", "/w/sub/c.ipynb")
        known = {path: (await notebooks.open("ada", path, None)).session for path in names}
        other.execute("BEGIN IMMEDIATE")
        for old, new in (("/w/a.ipynb", "/w/A.ipynb"), ("/w/sub", None)):
            with pytest.raises(StoreUnavailable):
                await notebooks.changed(old, new)
        assert (await notebooks.open("ada", "/w/b.ipynb", None)).session == known["/w/b.ipynb"]
        for path in ("/w/a.ipynb", "/w/A.ipynb", "/w/sub/c.ipynb", "/w/new.ipynb"):
            with pytest.raises(StoreUnavailable):
                await notebooks.open("ada", path, None)
        other.execute("ROLLBACK")
        assert (await notebooks.open("ada", "/w/A.ipynb", None)).session == known["/w/a.ipynb"]
        assert (await notebooks.open("ada", "/w/sub/c.ipynb", None)).session != known["/w/sub/c.ipynb"]
        await store.close()

    asyncio.run(main())
    other.close()


def test_a_move_that_can_never_be_recorded_keeps_nobody_out(tmp_path, caplog):
    store = MemorySaver.open(tmp_path / "phasenb.db", artifacts=str(tmp_path / "data"))

    async def main():
        notebooks = Notebooks(store, {})
        session = (await notebooks.open("ada", "/w/a.ipynb", None)).session
        await notebooks.changed("/w/b.ipynb", "/w/\udcff.ipynb")  # as no part of phasenb says it
        await notebooks.changed("/w/a.ipynb", "/w/c.ipynb")
        assert (await notebooks.open("ada", "/w/c.ipynb", None)).session == session
        await store.close()

    asyncio.run(main())
    assert [record.exc_info[0] for record in caplog.records] == [UnicodeEncodeError]
