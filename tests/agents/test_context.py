"""Context: what is told arrives, newest wins, percent never falls, a cancelled loop ends."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasenb.core import context, tracks
from phasenb.core.context import Cancelled, Context
from phasenb.core.reports import Beat, LogChunk, Report
from phasenb.core.steps import Steps
from phasenb.dto.phase import Step
from phasenb.dto.values import Artifact


class Told:
    """A Context and all that it emitted. ``interval_s=0`` sends every report, a large one only the first."""

    def __init__(self, interval_s: float = 0.0, **more: Any) -> None:
        self.reports: list[Report] = []
        self.kept: list[Any] = []
        self.ctx = Context(
            self.reports.append,
            store_artifact=self._artifact,
            store_checkpoint=self.kept.append,
            interval_s=interval_s,
            **more,
        )

    def _artifact(self, name: str, value: Any, codec: str | None) -> Artifact:
        self.kept.append((name, value, codec))
        return Artifact(name=name, hash="sha256:" + "0" * 64, codec=codec or "json")

    @property
    def steps(self) -> list[Step]:
        return [report for report in self.reports if isinstance(report, Step)]

    @property
    def percents(self) -> list[float]:
        return [step.percent for step in self.steps if step.percent is not None]


def test_first_update_is_sent_at_once_and_the_newest_by_flush() -> None:
    told = Told(interval_s=1e6)
    for done in range(1, 1001):
        told.ctx.update(done=done, total=1000, message=f"row {done}", metrics={"rows": done})
    assert len(told.steps) == 1
    told.ctx.flush()
    told.ctx.flush()
    assert len(told.steps) == 2
    last = told.steps[-1]
    assert (last.percent, last.done, last.total, last.message) == (100.0, 1000, 1000, "row 1000")
    assert last.metrics == told.ctx.metrics == {"rows": 1000.0}
    assert last.eta_s == 0


def test_nothing_is_sent_when_nothing_changed() -> None:
    told = Told()
    for _ in range(5):
        told.ctx.update(0.5, "half")
        told.ctx.flush()
    assert len(told.steps) == 1


def test_a_later_report_keeps_what_it_does_not_mention() -> None:
    told = Told()
    told.ctx.update(0.25, "reading", metrics={"a": 1})
    told.ctx.update(metrics={"b": np.float32(2)})
    told.ctx.update(message="fitting")
    last = told.steps[-1]
    assert (last.percent, last.message, last.metrics) == (25.0, "fitting", {"a": 1.0, "b": 2.0})


def test_a_report_without_a_fraction_has_no_percent() -> None:
    told = Told()
    told.ctx.update(message="thinking")
    told.ctx.update(done=3)
    assert [step.percent for step in told.steps] == [None, None]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"fraction": 45}, "fraction from 0 to 1, not 45.*0.45 for 45 percent"),
        ({"fraction": math.nan}, "not nan"),
        ({"fraction": -0.5}, "not -0.5"),
        ({"fraction": math.inf}, "not inf"),
        ({"done": -1}, "done=-1 is no number of items"),
        ({"done": 1, "total": math.nan}, "total=nan"),
        ({"total": math.inf}, "total=inf"),
        ({"metrics": {"loss": "low"}}, "metric 'loss' is 'low'"),
    ],
)
def test_nonsense_is_refused_by_name(call: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Told().ctx.update(**call)


def test_rounding_is_no_mistake_and_a_missing_metric_is_left_out() -> None:
    told = Told()
    told.ctx.update(0.1 + 0.7 + 0.2 + 1e-12, metrics={"loss": 1.0, "acc": 0.5})
    told.ctx.update(metrics={"loss": math.nan})
    assert told.percents[-1] == 100.0
    assert told.ctx.metrics == {"acc": 0.5}


numbers = st.one_of(st.none(), st.floats(0, 1), st.integers(0, 1))
updates = st.builds(
    lambda **call: call,
    fraction=numbers,
    done=st.one_of(st.none(), st.floats(0, 1e9)),
    total=st.one_of(st.none(), st.floats(0, 1e9)),
    message=st.one_of(st.none(), st.text(max_size=600)),
)


@given(st.lists(st.one_of(updates, st.integers(0, 30), st.none())), st.sampled_from([0.0, 1e6]))
def test_percent_never_falls_and_the_newest_always_arrives(actions: list[Any], interval_s: float) -> None:
    told = Told(interval_s)
    best = 0.0
    for action in actions:
        if action is None:
            told.ctx.flush()
        elif isinstance(action, int):
            for _ in told.ctx.track(range(action)):
                pass
            best = 1.0
        else:
            told.ctx.update(**action)
            best = max(best, action["fraction"] or 0.0)
    told.ctx.flush()
    percents = told.percents
    assert all(0.0 <= percent <= 100.0 for percent in percents)
    assert percents == sorted(percents)
    assert not percents or percents[-1] >= best * 100.0 * (1 - 1e-12)
    assert all(before != after for before, after in zip(told.steps, told.steps[1:], strict=False))
    messages = [action["message"] for action in actions if isinstance(action, dict) and action["message"] is not None]
    if messages:
        assert told.steps[-1].message == messages[-1][:500]


def test_track_tells_of_every_item_and_ends_at_its_total() -> None:
    told = Told()
    assert list(told.ctx.track([3, 1, 2], message="chunks")) == [3, 1, 2]
    assert [step.done for step in told.steps][-1] == 3
    assert told.steps[-1].total == 3
    assert told.steps[0].message == "chunks"
    assert told.percents[-1] == 100.0


def test_track_of_an_unsized_iterable_counts() -> None:
    told = Told()
    for _ in told.ctx.track(iter(letter for letter in "abc")):
        pass
    assert (told.steps[-1].done, told.steps[-1].total, told.steps[-1].percent) == (3, None, None)
    assert list(told.ctx.track((letter for letter in "abcd"), total=4)) == list("abcd")
    assert (told.steps[-1].done, told.steps[-1].percent) == (4, 100.0)


def test_more_items_than_the_total_stay_at_100() -> None:
    told = Told()
    for _ in told.ctx.track(range(10), total=4):
        pass
    assert told.percents[-1] == 100.0
    assert (told.steps[-1].done, told.steps[-1].total) == (10, 4)


def test_track_within_a_share_and_inside_another() -> None:
    told = Told()
    for _ in told.ctx.track(range(2), within=(0.0, 0.5)):
        for _ in told.ctx.track(range(5)):
            pass
    assert told.percents == pytest.approx(sorted(told.percents))
    assert 25.0 in told.percents
    assert told.percents[-1] == 50.0
    assert any(0 < percent < 25 for percent in told.percents)
    for _ in told.ctx.track(range(4), within=(0.5, 1.0)):
        pass
    assert told.percents[-1] == 100.0


@pytest.mark.parametrize("share", [(0.5, 0.2), (-0.1, 1), (0, 1.5), (0, math.nan)])
def test_a_share_outside_the_phase_is_refused(share: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="is no share of a phase"):
        Told().ctx.track([], within=share)


def test_a_broken_off_or_failing_loop_keeps_its_count() -> None:
    told = Told()
    for item in told.ctx.track(range(10)):
        if item == 4:
            break
    told.ctx.flush()
    assert told.steps[-1].percent == 40.0
    assert told.ctx._tracks == []

    def failing() -> Any:
        yield 1
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        list(told.ctx.track(failing(), total=2))
    assert told.percents[-1] == 50.0


def test_flush_sees_a_loop_between_its_checks() -> None:
    """A loop that was fast has long strides; when it turns slow, the executor's flush still tells where it is."""
    told = Told(interval_s=1e6)
    seen = []
    for item in told.ctx.track(range(100_000)):
        if item % 10_000 == 0:
            told.ctx.flush()
            seen.append(told.steps[-1].done)
    assert seen == [0 + 10_000 * n for n in range(10)]


def test_cancel_ends_a_loop_at_its_next_item_however_long_its_strides() -> None:
    told = Told(interval_s=1e6)
    done: list[int] = []

    def loop() -> None:
        for item in told.ctx.track(range(1_000_000)):
            done[:] = [item]
            if item == 500_000:
                told.ctx.cancel()

    with pytest.raises(Cancelled):
        loop()
    assert done == [500_000]
    assert told.ctx.cancelled
    told.ctx.update(0.9)
    told.ctx.log("still here")


def test_cancelled_passes_an_except_exception() -> None:
    told = Told()
    told.ctx.cancel()

    def loop() -> None:
        try:
            list(told.ctx.track([1]))
        except Exception:  # what users write
            pytest.fail("swallowed")

    with pytest.raises(Cancelled):
        loop()


def test_on_cancel_calls_once_and_only_inside() -> None:
    told = Told()
    calls: list[str] = []
    with told.ctx.on_cancel(lambda: calls.append("left")):
        pass
    with told.ctx.on_cancel(lambda: calls.append("inside")):
        told.ctx.cancel()
        told.ctx.cancel()
    with told.ctx.on_cancel(lambda: calls.append("late")):
        pass
    assert calls == ["inside", "late"]


def test_threads_report_without_losing_order() -> None:
    told = Told()
    start = threading.Barrier(4)

    def work(share: int) -> None:
        start.wait()
        for step in range(500):
            told.ctx.update((share + step / 500) / 4, f"{share}:{step}")
            told.ctx.flush()

    threads = [threading.Thread(target=work, args=(share,)) for share in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told.ctx.flush()
    assert told.percents == sorted(told.percents)
    assert told.percents[-1] == pytest.approx((3 + 499 / 500) / 4 * 100)


def test_log_is_lines() -> None:
    told = Told()
    told.ctx.log("rows:", 344, "\nsecond")
    told.ctx.log()
    chunks = [report for report in told.reports if isinstance(report, LogChunk)]
    assert [[line.text for line in chunk.lines] for chunk in chunks] == [["rows: 344 ", "second"], [""]]
    assert {line.stream for chunk in chunks for line in chunk.lines} == {"log"}


def test_what_is_kept() -> None:
    told = Told(checkpoint={"epoch": 3}, attempt=2, phase="planning", task_id="T")
    assert told.ctx.last_checkpoint == {"epoch": 3}
    told.ctx.checkpoint({"epoch": 4})
    assert told.ctx.last_checkpoint == {"epoch": 4}
    assert told.ctx.artifact("model", b"x", codec="bytes").name == "model"
    assert told.kept == [{"epoch": 4}, ("model", b"x", "bytes")]
    assert (told.ctx.attempt, told.ctx.phase, told.ctx.task_id, told.ctx.failure) == (2, "planning", "T", None)
    with pytest.raises(ValueError, match="needs a name"):
        told.ctx.artifact("", 1)


def test_a_step_brings_its_own_eta() -> None:
    told = Told()
    told.ctx.report(Step(percent=30, message="epoch 3", eta_s=42.0, metrics={"loss": 0.5}))
    assert (told.steps[0].percent, told.steps[0].eta_s, told.ctx.metrics) == (30.0, 42.0, {"loss": 0.5})
    told.ctx.report(Step(percent=60))
    assert told.steps[-1].eta_s != 42.0


# --- feedback, masks, heartbeats ---------------------------------------------------------------------------------


def test_feedback_is_what_the_person_said() -> None:
    assert Told().ctx.feedback is None
    assert Told(feedback="use fewer features").ctx.feedback == "use fewer features"


def test_a_message_is_masked_before_it_is_cut() -> None:
    told = Told(mask=lambda text: text.replace("hunter2", "***"))
    told.ctx.update(0.1, "x" * 497 + "hunter2")
    assert told.steps[-1].message == "x" * 497 + "***"


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        for module in (context, tracks):
            monkeypatch.setattr(module, "monotonic", lambda: self.now)


def beats(told: Told) -> int:
    return sum(isinstance(report, Beat) for report in told.reports)


def test_calls_that_change_nothing_beat_often_enough_and_silence_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    told = Told(interval_s=0.05, heartbeat_s=3.0)
    told.ctx.update(0.5, "working")
    begun, last = clock.now, clock.now
    while clock.now < begun + 30:
        clock.now += 0.05
        told.ctx.update(0.5, "working")
        told.ctx.flush()
        if told.reports[-1:] == [Beat()] and beats(told) > 0:
            told.reports.pop()
            assert clock.now - last <= 1.0
            last = clock.now
    assert last > begun + 29
    told.reports.clear()
    for _ in range(1000):  # silent: the executor goes on flushing
        clock.now += 0.05
        told.ctx.flush()
    assert beats(told) <= 1  # the last call's, which came too soon after the one before


def test_a_call_just_after_a_beat_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    told = Told(interval_s=0.05, heartbeat_s=3.0)
    told.ctx.update(0.5)
    clock.now += 0.06
    told.ctx.update(0.5)
    assert beats(told) == 0
    clock.now += 0.5
    told.ctx.flush()
    assert beats(told) == 1


def test_a_slow_loop_is_heard_at_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    told = Told(interval_s=0.05, heartbeat_s=3.0)

    def turns() -> Any:
        for turn in range(10):
            yield turn
            clock.now += 2.0

    for _ in told.ctx.track(turns(), total=10):
        told.ctx.flush()
    assert len([report for report in told.reports if isinstance(report, Step | Beat)]) >= 10


def test_without_a_heartbeat_nothing_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    told = Told()
    for _ in range(5):
        clock.now += 10
        told.ctx.update(0.5)
        told.ctx.beat()
    assert len(told.reports) == 1


def test_a_generator_that_yields_none_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    told = Told(heartbeat_s=3.0)
    told.ctx.update(0.5)
    steps = Steps(told.ctx)
    for _ in range(4):
        clock.now += 2
        steps.take(None)
    assert beats(told) == 4
