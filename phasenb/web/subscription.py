"""What one connection follows of one task: each event once, in order, without a gap, whatever happens in between.

Rules:

* ``seq`` is the last event that was given to the connection's outbox; the next one is ``seq + 1`` or nothing.
* *Live*: every announced event was given out. Otherwise the subscription only notes what is announced, and
  web.subscriber reads the missing events from the log; the log is the truth, so nothing is queued twice.
* Progress belongs behind the event after which it was reported. While not live it is held there (newest wins), so that
  the last progress of an attempt comes before the event that ends the attempt.
* No I/O and no awaiting here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from phasenb.core.coalescing import LogBacklog
from phasenb.dto.events import Event, PhaseLog, PhaseUpdate
from phasenb.web.connection import Outbox

LOG_BACKLOG_BYTES = 262_144


class Subscription:
    """``explicit``: asked for by name (gets log lines too), else part of the feed. ``final``: no event can follow."""

    __slots__ = (
        "_backlog", "_behind_from", "_fall_behind", "_held", "_outbox", "_shown",
        "announced", "explicit", "final", "live", "seq", "task_id",
    )  # fmt: skip

    def __init__(
        self,
        task_id: str,
        outbox: Outbox,
        fall_behind: Callable[[Subscription], None],
        *,
        explicit: bool,
    ) -> None:
        self.task_id = task_id
        self.explicit = explicit
        self.seq = 0
        self.announced = 0
        self.live = False
        self.final = False
        self._outbox = outbox
        self._fall_behind = fall_behind
        self._behind_from: int | None = None  # how far behind it is does not count before the start
        self._held: dict[int, PhaseUpdate] = {}
        self._shown: PhaseUpdate | None = None
        self._backlog: LogBacklog | None = None

    def start(self, seq: int, last_seq: int, *, read: bool = False) -> None:
        """Take up after event ``seq``; the log is known to go to ``last_seq``.

        Live at once where nothing is missing. ``read``: the log is read in any case, because it may have gone on
        between the look at it and the moment from which this subscription hears of events.
        """
        self.seq = seq
        self.announced = max(self.announced, last_seq)
        self._behind_from = self.announced
        if not read and self.announced <= seq and self._give_held():
            self._go_live()
        else:
            self._fall_behind(self)

    @property
    def behind(self) -> int:
        """How many events, announced since it started or was last live, are still to be read from the log."""
        return 0 if self._behind_from is None else max(0, self.announced - max(self.seq, self._behind_from))

    # --- what is announced -----------------------------------------------------------------------------------------

    def events(self, events: Sequence[Event]) -> None:
        last = events[-1].seq
        if self.live and events[0].seq == self.seq + 1:
            for event in events:
                if not self._outbox.offer(event, self.task_id):
                    break
                self.seq = event.seq
            else:
                self._shown = None
                return
        if last <= self.seq:
            return  # already read from the log
        self.announced = last
        self._leave_live()

    def progress(self, seq: int, update: PhaseUpdate) -> None:
        """``seq``: the task's last event when the progress was reported."""
        if update is self._shown or seq < self.seq:
            return  # seen, or of an attempt whose end was given out already
        self._shown = update
        if not (self.live and self._outbox.progress(self.task_id, update)):
            self._held[seq] = update
            self._leave_live()

    def log(self, log: PhaseLog) -> None:
        if not self.explicit:
            return
        if not (self.live and self._outbox.offer(log)):
            if self._backlog is None:
                self._backlog = LogBacklog(LOG_BACKLOG_BYTES)
            self._backlog.add(log)
            self._leave_live()

    # --- catching up -----------------------------------------------------------------------------------------------

    def replay(self, page: Sequence[str], *, whole: bool) -> None:
        """Give out events from the log; ``whole``: it had no more. Live afterwards, unless more is to be read."""
        for text in page:
            if not self._give_held() or not self._outbox.offer(text, self.task_id):
                return
            self.seq += 1
        if whole and self.announced <= self.seq and self._give_held():
            self._go_live()

    def _give_held(self) -> bool:
        held = self._held.get(self.seq) if self._held else None
        if held is None:
            return True
        if not self._outbox.progress(self.task_id, held):
            return False
        del self._held[self.seq]
        return True

    def _go_live(self) -> None:
        self._held.clear()
        self.live = True
        if self._backlog is not None:
            backlog, self._backlog = self._backlog, None
            for log in backlog.take():
                self.log(log)

    def _leave_live(self) -> None:
        if self.live:
            self.live = False
            self._behind_from = self.seq
            self._fall_behind(self)
