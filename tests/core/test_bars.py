"""Which of a phase's own progress bars drives its bar, and what it says. The bars are tqdm's."""

import gc
import io
import threading

import pytest
from tqdm import tqdm

from phasenb.core.bars import Bars
from phasenb.core.context import Context
from phasenb.dto.phase import Step


@pytest.fixture
def bars():
    return Bars()


def opened(bars, total, desc="", **more):
    bar = tqdm(total=total, desc=desc, file=io.StringIO(), **more)
    bars.opened(bar)
    return bar


def closed(bars, bar):
    bars.closed(bar)
    bar.close()


def test_the_outermost_drives_and_what_is_inside_refines_its_item(bars):
    assert bars.newest() is None
    outer = opened(bars, 4, "epoch")
    outer.update()
    inner = opened(bars, 10, "train")
    inner.update(5)
    inner.set_postfix(loss=0.5)
    state = bars.newest()
    assert (state.number, state.done, state.total, state.fraction) == (1, 1.0, 4.0, 0.375)
    assert state.message == "epoch · train, loss=0.5 50 %"
    closed(bars, inner)
    outer.update()
    assert (bars.newest().fraction, bars.newest().message) == (0.5, "epoch")


def test_the_next_bar_begins_anew_and_the_last_state_stands_until_then(bars):
    first = opened(bars, 2)
    first.update(2)
    closed(bars, first)
    assert (bars.newest().number, bars.newest().fraction) == (1, 1.0)
    second = opened(bars, None)
    second.update(1204)
    state = bars.newest()
    assert (state.number, state.done, state.total, state.fraction) == (2, 1204.0, None, None)


def test_a_bar_that_nobody_closes_gives_way_at_its_end_or_when_it_is_forgotten(bars):
    full = opened(bars, 3)
    full.update(3)
    other = opened(bars, 10)
    assert (bars.newest().number, bars.newest().fraction) == (1, 0.0)
    closed(bars, other)
    lost = opened(bars, 7)
    lost.update(3)
    assert bars.newest().total == 7.0
    del lost
    gc.collect()
    assert full.n == 3
    assert bars.newest().total == 3.0


class Ending:
    """While it is asked how far it is, another bar ends, as in a garbage collection."""

    total = 10

    def __init__(self, bars, other):
        self._bars, self._other = bars, other

    @property
    def n(self):
        self._bars.closed(self._other)
        return 3


def test_a_bar_may_end_while_another_is_asked(bars):
    other = opened(bars, 4)
    ending = Ending(bars, other)
    bars.opened(ending)
    other.update(4)  # at its end, so that the other one drives
    asked = threading.Thread(target=bars.newest, daemon=True)
    asked.start()
    asked.join(timeout=20)
    assert not asked.is_alive()
    assert bars.newest().done == 3


class Plain:
    """What is asked of a bar, without a screen: thousands of tqdm's take a minute."""

    n, total = 0, 10


def test_thousands_of_bars_that_nobody_closes_are_no_trouble(bars):
    left = [Plain() for _ in range(3000)]
    for bar in left:
        bars.opened(bar)
    left[0].n = 5
    assert (bars.newest().done, bars.newest().fraction) == (5, 0.5)


def test_bars_of_other_threads_run_beside_it(bars):
    outer = opened(bars, 4)
    found = []
    thread = threading.Thread(target=lambda: found.append(opened(bars, 10)))
    thread.start()
    thread.join()
    found[0].update(9)
    assert bars.newest().fraction == 0.0
    assert outer.total == 4


class Mine:
    n = 1


@pytest.mark.parametrize("total", [0, float("nan"), float("inf"), "many"])
def test_a_total_that_is_none_is_none(bars, total):
    bar = Mine()
    bar.total = total
    bars.opened(bar)
    assert bars.newest().fraction is None


def context():
    told = []
    ctx = Context(told.append, store_artifact=lambda *_: None, store_checkpoint=lambda _: None, interval_s=0.0)
    return ctx, lambda: [step for step in told if isinstance(step, Step)][-1]


def test_a_phase_that_tells_its_progress_itself_has_the_say():
    ctx, newest = context()
    bar = opened(ctx.bars, 4, "own")
    bar.update()
    ctx.flush()
    assert (newest().percent, newest().bar, newest().message) == (25.0, 1, "own")
    ctx.update(message="mine")
    assert (newest().percent, newest().message) == (25.0, "mine")
    ctx.update(0.1)
    bar.update()
    ctx.flush()
    assert (newest().percent, newest().bar, newest().done) == (25.0, 0, None)  # it never falls


def test_percent_falls_for_a_new_bar_alone():
    ctx, newest = context()
    for number in (1, 2):
        bar = opened(ctx.bars, 4)
        bar.update(3)
        ctx.flush()
        bar.n = 1
        ctx.flush()
        assert (newest().percent, newest().bar) == (75.0, number)
        closed(ctx.bars, bar)
    opened_without_total = opened(ctx.bars, None)
    ctx.flush()
    assert (newest().percent, newest().done, opened_without_total.n) == (None, 0.0, 0)


def test_a_bar_that_stands_still_is_no_sign_of_life():
    told = []
    ctx = Context(
        told.append, store_artifact=lambda *_: None, store_checkpoint=lambda _: None, interval_s=0.0, heartbeat_s=1e-9
    )
    bar = opened(ctx.bars, 4)
    ctx.flush()
    count = len(told)
    for _ in range(3):
        ctx.flush()
    assert len(told) == count
    bar.update()
    ctx.flush()
    assert len(told) == count + 1
