"""TaskModel: one task as its messages tell it, folded by the reducer that the host uses too.

Rules: changed on the client's loop only, read from any thread; an event counts once, in the order of seq; a gap is
told, never papered over. ``results`` are the attempts that this model saw end: ``whole`` says whether that is all.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable

from phasenb.client.callbacks import tell
from phasenb.core.history import OUTDATING, outdated
from phasenb.core.task_schema import apply, with_update
from phasenb.dto.events import Event, PhaseComplete, PhaseLog, PhaseUpdate
from phasenb.dto.phase import LogLine
from phasenb.dto.phase_result import PhaseResult
from phasenb.dto.task_state import TaskState
from phasenb.errors import IllegalTransition, PhasenbError

TAIL_LINES = 200
NO_EPOCH = ""  # no store has it: a subscription that names it is answered with a snapshot
Changed = Callable[["TaskModel"], None]


class TaskModel:
    """``state`` is None until the first event or snapshot came. ``ended`` is set while the task is terminal, or when
    nothing more will be heard of it (``problem``); ``stands`` then too, and while the task needs a person. ``epoch`` is
    of the store that ``seq`` counts in.
    """

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        self.state: TaskState | None = None
        self.problem: PhasenbError | None = None
        self.whole = True
        self.epoch = NO_EPOCH
        self.resyncing = False
        self.logged = 0
        self.results: dict[str, PhaseResult] = {}
        self.tail: deque[LogLine] = deque(maxlen=TAIL_LINES)
        self.ended = threading.Event()
        self.stands = threading.Event()
        self._listeners: list[Changed] = []

    @property
    def seq(self) -> int:
        return self.state.seq if self.state else 0

    @property
    def terminal(self) -> bool:
        return self.state is not None and self.state.state.terminal

    @property
    def _needs_person(self) -> bool:
        return self.state is not None and self.state.needs_person

    @property
    def over(self) -> bool:
        """What ``ended`` says to the threads that wait."""
        return self.terminal or self.problem is not None

    # --- messages --------------------------------------------------------------------------------------------------

    def take(self, event: Event) -> bool:
        """Fold an event. False where events are missing before it: subscribe again after ``seq``."""
        if event.seq <= self.seq:
            return True
        if event.seq != self.seq + 1:
            return False
        try:
            state = apply(self.state, event)
        except IllegalTransition:
            return False  # the fold went wrong somewhere before: a fresh snapshot mends it
        if isinstance(event, PhaseComplete) and event.kind == "phase":
            self.results[event.phase] = event.result
        if event.type in OUTDATING:
            for phase in outdated(event, tuple(each.name for each in state.phases)):
                self.results.pop(phase, None)
        self._become(state)
        return True

    def reset(self, snapshot: TaskState) -> None:
        """Start again from a snapshot: what happened before it was not seen here."""
        if self.state is None or snapshot.seq != self.seq:
            self.whole = False
            self.results = {}
        self._become(snapshot)

    def progress(self, update: PhaseUpdate) -> None:
        if self.state is not None:
            state = with_update(self.state, update)
            if state is not self.state:
                self._become(state)

    def log(self, log: PhaseLog) -> None:
        self.tail.extend(log.lines)
        self.logged += 1
        self._tell()

    def fail(self, problem: PhasenbError) -> None:
        """Nothing more will be heard of it: whoever waits is let go."""
        if not self.terminal:
            self.problem = problem
            self._tell()
            self.ended.set()
            self.stands.set()

    # --- whoever looks on ------------------------------------------------------------------------------------------

    def listen(self, changed: Changed) -> Callable[[], None]:
        """Have ``changed`` called on the loop after each change; the answer ends that."""
        self._listeners.append(changed)

        def stop() -> None:
            if changed in self._listeners:
                self._listeners.remove(changed)

        return stop

    async def until_standing(self, seq: int) -> None:
        """Return when the task has ended, or needs a person since an event after ``seq``.

        To be awaited on the client's loop, as all of these.
        """
        await self._until(lambda: self.over or (self._needs_person and self.seq > seq))

    async def until_known(self) -> None:
        """Return when there is a state. Raises ``problem``."""
        await self._until(lambda: self.state is not None or self.problem is not None)
        if self.state is None and self.problem is not None:
            raise self.problem

    async def until_logged(self, logged: int) -> None:
        """Return when there were more log messages than ``logged``, or the task has ended."""
        await self._until(lambda: self.logged != logged or self.over)

    async def _until(self, holds: Callable[[], bool]) -> None:
        if holds():
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def look(model: TaskModel) -> None:
            if not done.done() and holds():
                done.set_result(None)

        stop = self.listen(look)
        try:
            await done
        finally:
            stop()

    def _become(self, state: TaskState) -> None:
        self.state = state
        self._tell()  # first: a thread that waits finds a display that has heard of it
        for event, holds in ((self.ended, self.over), (self.stands, self.over or self._needs_person)):
            (event.set if holds else event.clear)()

    def _tell(self) -> None:
        for changed in tuple(self._listeners):
            tell(changed, self)
