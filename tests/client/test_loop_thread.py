"""The clients' thread of a phase that has ended: its end is bounded, and costs no outcome."""

import asyncio
import threading
import time

import pytest

from phasenb.client.embedded import EmbeddedHost
from phasenb.client.loop_thread import LoopThread
from phasenb.core.parent import ParentTask
from phasenb.errors import WorkerLost

FAILURES = [("can't start new thread", WorkerLost, RuntimeError), ("something else", RuntimeError, type(None))]


def test_a_call_that_does_not_return_holds_no_end_up():
    thread, begun, free = LoopThread(), threading.Event(), threading.Event()

    def hangs():
        begun.set()
        free.wait(60)

    async def hang():
        await asyncio.to_thread(hangs)

    asyncio.run_coroutine_threadsafe(hang(), thread.loop)
    assert begun.wait(30)
    at = time.monotonic()
    thread.end()
    assert time.monotonic() - at < 30
    assert thread.loop.is_closed()
    free.set()


def test_what_can_not_be_closed_is_logged_and_the_rest_is_closed(caplog):
    parent = ParentTask(task_id="01X", session="s", notebook=None, url="u", objects_url="o", send=lambda *_: None)
    closed = []
    parent.at_end(lambda: closed.append(1))
    parent.at_end(lambda: 1 / 0)
    parent.end()
    assert closed == [1]
    assert parent.over
    assert "01X" in caplog.text


@pytest.mark.parametrize(("says", "kind", "cause"), FAILURES)
def test_a_thread_that_can_not_be_started_is_told_and_no_error_is_its_own_cause(monkeypatch, says, kind, cause):
    def refused(*_):
        raise RuntimeError(says)

    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(kind) as caught:
        LoopThread()
    assert type(caught.value.__cause__) is cause


@pytest.mark.parametrize(("says", "kind", "cause"), FAILURES)
def test_an_embedded_host_that_can_not_start_one_neither(monkeypatch, says, kind, cause):
    async def refused(*_):
        raise RuntimeError(says)

    monkeypatch.setattr(asyncio, "to_thread", refused)  # which reads its settings
    thread = LoopThread()
    with pytest.raises(kind) as caught:
        thread.run(EmbeddedHost(thread).running())
    assert type(caught.value.__cause__) is cause
    thread.end()
