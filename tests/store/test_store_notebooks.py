"""Which session a notebook's path stands for, after any moves: one of its own, for as long as it is there."""

import asyncio

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from phasenb.core.notebooks import moved, session_of
from phasenb.store.saver import MemorySaver
from phasenb.testing import FakeStore

PATHS = [
    "/w/a.ipynb",
    "/w/b.ipynb",
    "/w/sub/a.ipynb",
    "/w/sub/c.ipynb",
    "/w/sub.ipynb",
    "/v/a.ipynb",
    "/w",
    "/w/sub",
    "/v",
]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.sampled_from(PATHS[:6])),
        st.tuples(st.just("move"), st.sampled_from(PATHS), st.sampled_from(PATHS)),
        st.tuples(st.just("forget"), st.sampled_from(PATHS)),
    ),
    max_size=12,
)


@pytest.fixture(params=["sqlite", "fake"])
def make(request):
    return FakeStore if request.param == "fake" else lambda: MemorySaver.open(":memory:")


def below(path, folder):
    return path == folder or path.startswith(f"{folder}/")


def moved_all(there, old, new):
    if old == new:
        return there
    kept = {at: name for at, name in there.items() if not below(at, new)}
    return {moved(at, old, new): name for at, name in kept.items()}


@settings(max_examples=60)
@example(steps=[("open", "/w/a.ipynb"), ("move", "/w/a.ipynb", "/w/b.ipynb"), ("move", "/w/b.ipynb", "/w/b.ipynb")])
@given(steps=STEPS)
def test_sessions_follow_their_notebooks_and_are_never_shared(steps):
    """Against a model: a dict of paths. A move to a place below itself can't be, and is left out."""

    async def main(store):
        there, ever = {}, set()
        for kind, path, *to in steps:
            if kind == "open":
                session = await store.notebook_session("ada", path)
                assert session == there.get(path, session)
                assert path in there or session not in ever, "a new notebook got another one's session"
                there[path] = session
                ever.add(session)
            elif kind == "forget":
                await store.move_notebooks(path, None)
                there = {at: name for at, name in there.items() if not below(at, path)}
            elif path == to[0] or not (below(to[0], path) or below(path, to[0])):
                await store.move_notebooks(path, to[0])
                there = moved_all(there, path, to[0])
        for path, session in there.items():
            assert await store.notebook_session("ada", path) == session

    async def both():
        for store in (FakeStore(), saver := MemorySaver.open(":memory:")):
            await main(store)
        await saver.close()

    asyncio.run(both())


def test_owners_have_sessions_of_their_own_and_a_move_is_everybodys(make):
    async def main():
        store = make()
        for owner in ("ada", "bob"):
            assert await store.notebook_session(owner, "/w/a.ipynb") == session_of("/w/a.ipynb")
        await store.move_notebooks("/w/a.ipynb", "/w/b.ipynb")
        for owner in ("ada", "bob"):
            assert await store.notebook_session(owner, "/w/b.ipynb") == session_of("/w/a.ipynb")
            assert await store.notebook_session(owner, "/w/a.ipynb") != session_of("/w/a.ipynb")

    asyncio.run(main())


def test_a_task_tells_where_its_notebook_is_now_whatever_its_session(saver, story):
    async def main():
        own = await saver.notebook_session("ada", "/w/a.ipynb")
        for session in (own, "nightly"):
            told = story(session=session, notebook="/w/a.ipynb")
            await told.tell(saver)
        unknown = story(notebook="/elsewhere/x.ipynb")
        await unknown.tell(saver)
        await saver.move_notebooks("/w", "/v")
        assert {task.notebook for task in await saver.tasks("ada")} == {"/v/a.ipynb", "/elsewhere/x.ipynb"}
        assert (await saver.find(unknown.task_id)).task.notebook == "/elsewhere/x.ipynb"
        await saver.move_notebooks("/v/a.ipynb", None)
        assert [task.notebook for task in await saver.tasks("ada", session="nightly")] == [None]

    asyncio.run(main())


def test_names_that_like_and_glob_would_take_for_patterns(make):
    async def main():
        store = make()
        sessions = [
            await store.notebook_session("ada", path)
            for path in ("/w/a_b%/x.ipynb", "/w/aXbY/x.ipynb", "/w/a_b%.ipynb")
        ]
        assert len(set(sessions)) == 3
        await store.move_notebooks("/w/a_b%", "/w/é")
        now = [
            await store.notebook_session("ada", path) for path in ("/w/é/x.ipynb", "/w/aXbY/x.ipynb", "/w/a_b%.ipynb")
        ]
        assert now == sessions

    asyncio.run(main())
