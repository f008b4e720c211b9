"""Context: the ``ctx`` of a phase function, and how an attempt tells of its progress.

Rules and invariants:
- ``percent`` stays within 0..100 and never falls within an attempt, whatever a phase or its threads report; but for
  progress bars of the phase's own code (core.bars), each of which begins anew. They are shown where the phase itself
  says nothing of its progress, and their words where it has no message.
- A report costs next to nothing: ``update`` stores raw values; a Step is built only when one is sent, which is at
  once for the first report and then at most every ``interval_s``. What waits is sent by the next ``flush()``, which
  the executor calls from its own thread; so the newest report always arrives, and nothing is sent twice.
- A Step carries the whole newest state (percent, done, total, message, metrics), because newest wins on the way.
- Life is what the phase does: with ``heartbeat_s``, a call or a loop's turn that changes nothing is told by a Beat, in
  time for silence to be judged at ``heartbeat_s``. Whoever flushes adds none of their own: each stands for a call.
- Nothing here knows of stores, pipes or clocks of the wall but for the time of a log line.
- Cancelling is cooperative: ``ctx.cancelled`` becomes true, and the next round of ``ctx.track``, the next step of a
  generator or the next await of an async phase raises Cancelled. ``update`` and ``log`` never raise it.
- A phase that has noticed the cancel is not interrupted any more: what it does from then on is its cleanup.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from operator import length_hint
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from phasenb.core.bars import Bars, BarState
from phasenb.core.launch_check import suggestion
from phasenb.core.real_clock import monotonic, now
from phasenb.core.reports import Beat, LogChunk, Report
from phasenb.core.tracks import Track
from phasenb.dto.phase import LogLine, Step
from phasenb.dto.texts import printable, text_of
from phasenb.errors import NoSuchName

if TYPE_CHECKING:
    from phasenb.dto.phase_result import ErrorInfo
    from phasenb.dto.values import Artifact

T = TypeVar("T")

MESSAGE_CHARACTERS = 500
LINE_CHARACTERS = 2_000  # of an unfinished line: its newest
_ROUNDING = 1e-3  # sums of fractions end a little beside 1; this much is rounding, more is a mistake
_made: WeakSet[Context] = WeakSet()
_BEATS = 6  # in each heartbeat_s: one may be late by as much again, on its way through a worker, and still be in time


class Cancelled(BaseException):
    """The attempt was asked to stop. Not an Exception, so that a phase's ``except Exception`` lets it pass."""


# What other tools call it.
_INSTEAD = {
    **dict.fromkeys(("progress", "set_progress", "percent", "tick"), 'write ctx.update(0.5, "half")'),
    **dict.fromkeys(("print", "info", "warning", "debug", "logger"), "write ctx.log(...), print or logging"),
    **dict.fromkeys(("save", "save_artifact", "store"), 'write ctx.artifact("name", value)'),
}


class Context:
    """What a phase function gets as ``ctx``. One for each attempt; safe to use from several threads.

    ``emit`` takes reports in order (it is called under a lock); ``store_artifact(name, value, codec)`` and
    ``store_checkpoint(value)`` keep values; ``checkpoint`` is what an earlier attempt kept, decoded. ``mask`` takes
    secrets out of messages. What a phase reads of them: ``failure`` is the last attempt's (for a retry, a fallback, a
    compensation) or the one that rolled the task back to this phase, ``feedback`` what the person said who had the
    phase run again; both None otherwise.
    """

    def __init__(
        self,
        emit: Callable[[Report], None],
        *,
        store_artifact: Callable[[str, Any, str | None], Artifact],
        store_checkpoint: Callable[[Any], None],
        task_id: str = "",
        phase: str = "",
        attempt: int = 1,
        checkpoint: Any = None,
        failure: ErrorInfo | None = None,
        feedback: str | None = None,
        heartbeat_s: float | None = None,
        mask: Callable[[str], str] | None = None,
        interval_s: float = 0.05,
    ) -> None:
        self.task_id = task_id
        self.phase = phase
        self.attempt = attempt
        self.failure = failure
        self.feedback = feedback
        self._emit = emit
        self._store_artifact = store_artifact
        self._store_checkpoint = store_checkpoint
        self._checkpoint = checkpoint
        self._mask = mask
        self._beat_s = None if heartbeat_s is None else heartbeat_s / _BEATS
        self._interval_s = interval_s if self._beat_s is None else min(interval_s, self._beat_s)
        self._lock = threading.RLock()
        self._dirty = False
        self._fraction = 0.0
        self._known = False  # whether any fraction was ever told: a phase that only logs has no percent
        self.bars = Bars()
        self._bar: BarState | None = None
        self._counts = False  # whether the phase itself tells how far it is
        self._line: str | None = None
        self._message: str | None = None
        self._done: float | None = None
        self._total: float | None = None
        self._eta_s: float | None = None
        self._metrics: dict[str, float] = {}
        self._due = 0.0
        self._told_at = -inf  # when a Step or a Beat was last told
        self._sent: Step | None = None
        self._sent_fraction = 0.0
        self._began: tuple[float, float] | None = None  # (monotonic, fraction) of the first told fraction
        self._tracks: list[Track] = []
        self._cancelled = False
        self.noticed = False  # the cancel, by the phase
        self._cancel_callbacks: list[Callable[[], object]] = []
        _made.add(self)

    if not TYPE_CHECKING:  # a checker knows that there is no such attribute

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or hasattr(type(self), name):  # what asks for a protocol, or a property's own error
                raise AttributeError(f"ctx has no {name}")
            known = [each for each in dir(self) if not each.startswith("_")]
            raise NoSuchName("ctx", name, _INSTEAD.get(name) or suggestion(name, known))

    # --- progress ------------------------------------------------------------------------------------------------

    def update(
        self,
        fraction: float | None = None,
        message: str | None = None,
        *,
        done: float | None = None,
        total: float | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Tell how far this phase is: ``fraction`` 0..1, or ``done`` of ``total``; and a message, and metrics.

        What is not given stays as it was. The shown percent never falls: a lower fraction is no error, it is not
        shown. ``metrics`` are numbers, kept in the phase's result; NaN and infinity count as missing.

        Raises ValueError for a fraction outside 0..1, a NaN, and a metric that is no number.
        """
        if fraction is not None:
            try:
                within = 0.0 <= fraction <= 1.0
            except TypeError:
                raise TypeError(f"ctx.update takes a fraction from 0 to 1, not a {type(fraction).__name__}") from None
            if not within:
                fraction = _clamped(fraction)
            if fraction > self._fraction:
                self._fraction = fraction
            self._known = self._counts = True
        if message is not None:
            # Text at once where it is none: its `__str__` is the caller's, and no business of a thread that flushes.
            self._message = message if type(message) is str else text_of(message)
        if done is not None or total is not None:
            self._count(done, total, fraction is None)
        if metrics is not None:
            self._measure(metrics)
        self._dirty = True
        if monotonic() >= self._due:
            self._try_send()

    def beat(self) -> None:
        """Tell that the phase lives, and nothing else. Does nothing where nobody watches for silence."""
        if self._beat_s is not None:
            self._dirty = True
            if monotonic() >= self._due:
                self._try_send()

    def report(self, step: Step) -> None:
        """Tell a ready-made Step; its ``eta_s`` is shown in place of the computed one."""
        self._eta_s = step.eta_s
        fraction = None if step.percent is None else step.percent / 100.0
        self.update(fraction, step.message, done=step.done, total=step.total, metrics=step.metrics or None)

    def track(
        self,
        iterable: Iterable[T],
        total: float | None = None,
        message: str | None = None,
        *,
        within: tuple[float, float] = (0.0, 1.0),
    ) -> Iterator[T]:
        """Iterate and report: percent and ETA where the length is known (``len()`` or ``total``), else the count.

        ``within=(0.2, 0.6)`` is this loop's share of the phase, for phases of several loops. A ``track`` inside
        another one refines the outer one's current item. Costs what tqdm costs. Raises Cancelled in the loop when
        the task is cancelled; ValueError for a negative ``total`` or a share outside 0..1.
        """
        low, high = within
        if not 0.0 <= low <= high <= 1.0:
            raise ValueError(f"within={within!r} is no share of a phase: give two fractions such as (0.2, 0.6)")
        if total is None:
            length = length_hint(iterable, -1)
            total = length if length >= 0 else None
        elif not total >= 0:
            raise ValueError(f"total={total!r} is no number of items")
        elif total == inf:
            total = None
        return self._tracked(iterable, Track(self._interval_s, total, low, high), message)

    def unfinished(self, text: str) -> None:
        """What the phase has written of a line that has not ended. For executors."""
        line = printable(text)[-LINE_CHARACTERS:] or None
        if line != self._line:
            self._line = line
            self._dirty = True

    def flush(self) -> None:
        """Send the newest progress if it has not been sent. Any thread may call it, at any time."""
        with self._lock:
            self._adopt_bar()
            for track in self._tracks:
                if track.done != track.told:
                    self._dirty = True
            if self._dirty:
                self._send()

    @property
    def metrics(self) -> dict[str, float]:
        """All metrics of this attempt, newest values."""
        with self._lock:
            return dict(self._metrics)

    # --- what is kept --------------------------------------------------------------------------------------------

    def log(self, *parts: object) -> None:
        """Write a line to the phase's log, as print() does (which works too); a text of several lines is several."""
        at = now()
        lines = " ".join(map(text_of, parts)).splitlines() or [""]
        chunk = LogChunk(tuple(LogLine(stream="log", text=line, at=at) for line in lines))
        with self._lock:
            self._emit(chunk)

    def artifact(self, name: str, value: Any, codec: str | None = None) -> Artifact:
        """Keep ``value`` under ``name`` with this phase's result: a DataFrame, array, figure, text, bytes, anything.

        ``codec`` is one of ``json, parquet, npy, png, pickle, text, bytes``; None lets the value decide. Returns the
        reference. Raises ValueNotStorable, ValueError for an empty name.
        """
        if not isinstance(name, str) or not name:
            raise ValueError(f"an artifact needs a name, not {name!r}")
        return self._store_artifact(name, value, codec)

    def checkpoint(self, value: Any) -> None:
        """Keep ``value`` for the next attempt of this phase, which finds it as ``ctx.last_checkpoint``."""
        self._store_checkpoint(value)
        self._checkpoint = value

    @property
    def last_checkpoint(self) -> Any:
        """What ``ctx.checkpoint`` kept last, in this attempt or an earlier one; None where nothing was kept."""
        return self._checkpoint

    # --- cancelling ----------------------------------------------------------------------------------------------

    @property
    def cancelled(self) -> bool:
        """Whether this attempt should stop: a long loop of its own asks now and then."""
        if self._cancelled:
            self.noticed = True
        return self._cancelled

    def cancel(self) -> None:
        """Ask the phase to stop. For executors; any thread may call it."""
        with self._lock:
            self._cancelled = True
            for track in self._tracks:
                track.check_at = 0
            callbacks, self._cancel_callbacks = self._cancel_callbacks, []
        for callback in callbacks:
            callback()

    @contextmanager
    def on_cancel(self, callback: Callable[[], object]) -> Iterator[None]:
        """Have ``callback`` called (from the cancelling thread; at once where it is too late) inside the block."""
        with self._lock:
            called = self._cancelled
            if not called:
                self._cancel_callbacks.append(callback)
        if called:
            callback()
        try:
            yield
        finally:
            with self._lock:
                if callback in self._cancel_callbacks:
                    self._cancel_callbacks.remove(callback)

    # --- inside --------------------------------------------------------------------------------------------------

    def _tracked(self, iterable: Iterable[T], track: Track, message: str | None) -> Iterator[T]:
        if message is not None:
            self._message = text_of(message)
        with self._lock:
            self._counts = True
            track.parent = self._tracks[-1] if self._tracks else None
            self._tracks.append(track)
        done = 0
        try:
            self._check(track)
            for item in iterable:
                yield item
                # `done` for this loop, `track.done` for the executor's flush, which sees a loop between its checks.
                track.done = done = done + 1
                if done >= track.check_at:
                    self._check(track)
        finally:
            with self._lock:
                self._adopt_tracks()
                self._tracks.remove(track)
            self.update()

    def _check(self, track: Track) -> None:
        """What a loop does a few times in each interval, and no oftener."""
        now = track.pace()
        if self.cancelled:
            raise Cancelled
        self._dirty = True
        if now >= self._due:
            self._try_send()

    def _adopt_tracks(self) -> None:
        """Take the running loops' positions into the state."""
        if not self._tracks:
            return
        outer = self._tracks[0]
        self._done, self._total = outer.done, outer.total
        for track in self._tracks:
            track.told = track.done
        fraction = self._tracks[-1].fraction()
        if fraction is not None:
            self._fraction = max(self._fraction, fraction)
            self._known = True

    def _adopt_bar(self) -> None:
        """Take the newest state of the phase's own bars."""
        bar = self.bars.newest()
        if bar == self._bar:
            return
        self._dirty = True
        other = self._bar is None or bar is None or bar.number != self._bar.number
        if other and not self._counts:
            self._sent_fraction, self._began = 0.0, None
        self._bar = bar

    def _count(self, done: float | None, total: float | None, tell: bool) -> None:
        for name, value in (("done", done), ("total", total)):
            if value is not None and not 0 <= value < inf:
                raise ValueError(f"ctx.update: {name}={value!r} is no number of items")
        self._counts = True
        if done is not None:
            self._done = done
        if total is not None:
            self._total = total
        if tell and self._done is not None and self._total:
            self._fraction = max(self._fraction, min(self._done / self._total, 1.0))
            self._known = True

    def _measure(self, metrics: Mapping[str, float]) -> None:
        with self._lock:
            for name, value in metrics.items():
                try:
                    number = float(value)
                except (TypeError, ValueError):
                    raise ValueError(f"the metric {name!r} is {value!r}: metrics are numbers") from None
                if number - number == 0.0:  # false for NaN and infinity, which JSON has no words for
                    self._metrics[text_of(name)] = number
                else:
                    self._metrics.pop(text_of(name), None)

    def _try_send(self) -> None:
        """Send unless another thread is sending: what we have waits for its next flush then."""
        if self._lock.acquire(blocking=False):
            try:
                self._send()
            finally:
                self._lock.release()

    def _send(self) -> None:
        self._dirty = False
        self._adopt_tracks()
        now = monotonic()
        self._due = now + self._interval_s
        bar = None if self._counts else self._bar
        fraction = self._fraction if self._known else None
        if bar is not None:
            fraction = bar.fraction
        if fraction is not None:
            self._sent_fraction = fraction = max(self._sent_fraction, fraction)
        done, total = (self._done, self._total) if bar is None else (bar.done, bar.total)
        step = Step(
            percent=None if fraction is None else float(fraction * 100.0),
            done=None if done is None else float(done),
            total=None if total is None else float(total),
            message=self._shown_message(),
            metrics=dict(self._metrics),
            eta_s=self._eta_s,
            bar=0 if bar is None else bar.number,
            line=self._line,
        )
        if step != self._sent:
            self._sent = step
            self._told_at = now
            eta_s = self._eta_s if self._eta_s is not None else self._eta(now, fraction)
            self._emit(step if eta_s == step.eta_s else step.model_copy(update={"eta_s": eta_s}))
        elif self._beat_s is not None:
            self._tell_beat(now, self._beat_s)

    def _tell_beat(self, now: float, beat_s: float) -> None:
        if now >= self._told_at + beat_s:
            self._told_at = now
            self._emit(Beat())
        else:
            # Too soon after the last one, but not to be forgotten: the phase may be silent for long after this call.
            self._dirty = True

    def _shown_message(self) -> str | None:
        message = self._message
        if message is None and self._bar is not None:
            message = self._bar.message
        if message is None:
            return None
        if self._mask is not None:
            message = self._mask(message)  # before it is cut: half a secret is one too
        return printable(message)[:MESSAGE_CHARACTERS]

    def _eta(self, now: float, fraction: float | None) -> float | None:
        """Seconds to the phase's end, or its bar's, at the average pace since the first told fraction."""
        if fraction is None:
            return None
        if self._began is None:
            self._began = (now, fraction)
        began, start = self._began
        if fraction >= 1.0:
            return 0.0
        gained = fraction - start
        return (now - began) * (1.0 - fraction) / gained if gained > 0 else None


def _clamped(fraction: Any) -> float:
    if -_ROUNDING <= fraction <= 1.0 + _ROUNDING:
        return min(max(float(fraction), 0.0), 1.0)
    percent = 1.0 < fraction <= 100.0
    hint = f" ({fraction / 100.0:g} for {fraction:g} percent, or done= and total=)" if percent else ""
    raise ValueError(f"ctx.update takes a fraction from 0 to 1, not {fraction!r}{hint}")


def _renew_locks() -> None:
    """In a forked child, whose parent's other threads may have held them at the fork."""
    for context in _made:
        context._lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_locks)
