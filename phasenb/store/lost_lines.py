"""LostLines: log lines that a store could not take, counted until it can and the task's log says how many they were."""

from __future__ import annotations

import threading
from typing import Any

Row = dict[str, Any]


class LostLines:
    """Used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lost: dict[str, dict[tuple[str, int], tuple[Row, int]]] = {}  # by task, then by phase and attempt

    def add(self, last: Row, count: int) -> None:
        """``count`` lines, or a row that told of as many, were not kept; ``last`` is the newest of their rows."""
        with self._lock:
            of_task = self._lost.setdefault(last["task_id"], {})
            attempt = (last["phase"], last["attempt"])
            _, before = of_task.get(attempt, (last, 0))
            of_task[attempt] = (last, before + count)

    def taken(self, task_id: str) -> list[tuple[Row, int]]:
        """A row that says it for each attempt of a task, and how many lines it stands for. They are not counted any
        more: where the row is lost too, ``add`` it.
        """
        with self._lock:
            if task_id not in self._lost:
                return []
            lost = self._lost.pop(task_id)
        return [({**last, "stream": "log", "text": _sentence(count)}, count) for last, count in lost.values()]


def _sentence(count: int) -> str:
    lines = "1 line of output was" if count == 1 else f"{count:,} lines of output were"
    return f"[{lines} lost while the store could not be written]"
