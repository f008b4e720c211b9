"""What Python says in words, for the TypeScript twin: ``python -m tests.labextension.words`` writes words.json.

Of tasks: what the histories of the reducer's vectors go through, and what is at the edges of what can be said. A page
has buttons where Python says what to type, and says it in its own words: ``IN_A_PAGE``.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from phasenb.display import words
from phasenb.dto.phase import PhaseStatus
from phasenb.dto.phase_result import ErrorInfo
from phasenb.dto.task_state import FailureNote, Failures, Queue, State, TaskFailure, TaskState

from .vectors import VECTORS as HISTORIES

VECTORS = Path(__file__).parents[2] / "labextension" / "tests" / "vectors" / "words.json"
IN_A_PAGE = {
    ': task.approve() or task.deny("why")': "",
    "task.resume() goes on": "nothing new starts until it is resumed",
    "; task.resume() tries again": "",
}
START = datetime(2026, 1, 1, tzinfo=UTC)
PHASE = "research"  # the first
SECONDS = [-1.0, 0.0, 0.04, 0.26, 9.949, 9.96, 10.0, 59.99, 60.0, 61.5, 3599.0, 3600.0, 7500.0, 90_061.0]
PERCENTS = [0.0, 0.9, 12.7, 99.0, 99.99, 100.0]
TEXTS = [
    "as it is",
    "\x1b[31mred\x1b[0m \x1b(B",
    "bell\x07 tab\tnew\nline\rreturn",
    "turned \u202eround",
    "🐧" + "é" * 2500,
]
_FRAME = {"codec": "parquet", "bytes": 9, "preview": "a", "$object": "sha256:" + "0" * 64}
INPUTS = [
    {},
    {"path": "x.csv", "alpha": 0.1, "flags": [True, None], "deep": {"a": [1, "b"]}},
    {"frame": _FRAME | {"type": "DataFrame", "shape": [344, 7]}, "model": _FRAME | {"type": "Net"}},
    {"text": " two\n lines\x1b[0m ", "long": "é" * 41, "just": "x" * 40, "empty": "", "penguin \u202e": "🐧"},
]
TRACEBACKS = [
    "",
    """Traceback (most recent call last):
  File "/e/lib/python3.11/site-packages/phasenb/x.py", line 3, in run
    f()
  File "/tmp/ipykernel_42/1234.py", line 5, in explore
    table["weight"]
KeyError: 1""",
    """  File "C:\\work\\helpers.py", line 12, in load
  File "/usr/lib/python3.11/json/decoder.py", line 1, in decode
    x""",
    """  File "<frozen importlib._bootstrap>", line 241, in _call
  File "<ipython-input-3>", line 1, in <module>
    1 / 0""",
]


def said():
    """``{name: [[argument, answer], ...]}``."""
    own = [(text, words.own_line(text)) for text in TRACEBACKS]
    return {
        "percent": [[value, words.percent(value)] for value in PERCENTS],
        "duration": [[value, words.duration(value)] for value in SECONDS],
        "progress": [
            [task.as_json(), [words.share(task), words.progress(task, task.phases[0])]] for task in _counting()
        ],
        "elapsed": [[value, words.elapsed(START, None, START + timedelta(seconds=value))] for value in SECONDS],
        "plain": [[text, words.plain(text)] for text in TEXTS],
        "own_line": [[text, line and {"where": line.where, "code": line.code}] for text, line in own],
        "as_of": [[task.as_json(), list(at.timetuple()[:6]), words.as_of(task, at)] for task, at in _copies()],
        "inputs": [[_given(given).as_json(), words.inputs(_given(given))] for given in INPUTS],
        "task": [[task.as_json(), now.isoformat(), _of(task, now)] for task, now in _tasks()],
    }


def _of(task, now):
    """What is said of a task; of which of its phases that were tried, by name."""
    activity = words.activity(task, now)
    for typed, shown in IN_A_PAGE.items():
        activity = activity and activity.replace(typed, shown)
    trouble = words.trouble(task)
    return {
        "state": words.STATE_WORDS[task.state],
        "activity": activity,
        "trouble": trouble and trouble.model_dump(mode="json"),
        "tried": [words.tried(task, phase) for phase in task.phases],
        "elapsed": words.elapsed(task.started_at, task.ended_at, now),
    }


def _tasks():
    """[(task, now), ...]: the first of the histories for each thing that can be said, and the edges."""
    found, seen = [], set()
    for vector in json.loads(HISTORIES.read_text(encoding="utf-8")):
        shown: dict = {}
        for _, change in vector["steps"]:
            shown |= change
            task = TaskState.model_validate(shown | {"inputs": {}, "labels": {}})
            kind = (task.state, words.activity(task), words.trouble(task) is None, task.error is None)
            if kind not in seen:
                seen.add(kind)
                found.append((task, task.updated_at + timedelta(seconds=2.5)))
    return (
        found
        + _waiting(found[0][0])
        + _lost(found)
        + _due(next(task for task, _ in found if task.retry_at is not None))
    )


def _given(inputs):
    return _tasks()[0][0].changed(inputs=inputs)


def _counting():
    """A running task with live progress of each kind, of three phases and of one."""
    running = next(task for task, _ in _tasks() if task.running is not None and task.running.name == PHASE)
    for task in (running, running.changed(phases=running.phases[:1])):
        for percent, done, total in ((0.0, None, None), (0.0, 1204.0, None), (12.7, 3.0, 9.0), (0.0, 0.0, 9.0)):
            phases = (task.phases[0].changed(percent=percent), *task.phases[1:])
            yield task.changed(phases=phases, percent=percent / len(phases), done=done, total=total)


def _copies():
    """At local times: the vectors hold wherever they are made. When a task ended is UTC, so there are none that did."""
    at = datetime(2026, 3, 4, 5, 6, 7)
    found = [task for task, _ in _tasks()]
    live = next(task for task in found if task.state is State.RUNNING)
    return [(live, at), (live, at.replace(day=14, hour=23))]


def _lost(found):
    """In its second attempt after a host was lost: the first ran then, or had failed."""
    running = next(task for task, _ in found if task.running is not None and task.running.name == PHASE)
    phases = (running.phases[0].changed(attempt=2), *running.phases[1:])
    note = FailureNote(phase=PHASE, attempt=1, type="KeyError", message="'weight'", at=START)
    recent = ("2 phase_started", "3 task_recovered", "4 phase_started", "5 phase_checkpoint")
    again = running.changed(phases=phases, recent=recent, failures=None)
    failed = again.changed(failures=Failures(count=1, first=note, newest=note))
    return [(task, START) for task in (again, failed, again.changed(recent=recent[2:]))]


def _waiting(task):
    """For a worker, and for a secret."""
    places = (1, 2, 3, 4, 11, 12, 13, 21, 22, 103, 111, 1002)
    queues = [Queue(position=place, reason="Both workers are busy") for place in places]
    error = ErrorInfo(type="phasenb.SecretUnavailable", message="TOKEN\x1b[0m is not set", retryable=True)
    failure = TaskFailure(phase="research", attempt=1, error=error)
    changes = [*({"queue": queue} for queue in queues), {"state": State.PAUSED, "error": failure}]
    return [(task.model_copy(update=change), START) for change in changes]


def _due(task):
    """Before, at and after the moment for which it waits."""
    times = [task.retry_at - timedelta(seconds=left) for left in (90.5, 8.0, 7.2, 0.4, 0.0, -1.0)]
    phases = tuple(phase.model_copy(update={"status": PhaseStatus.PENDING}) for phase in task.phases)
    return [(task, now) for now in times] + [(task.model_copy(update={"phases": phases}), times[0])]


def main():
    lines = []
    for name, pairs in said().items():
        each = ",\n".join(json.dumps(pair, ensure_ascii=False, separators=(",", ":")) for pair in pairs)
        lines.append(f'"{name}": [\n{each}\n]')
    VECTORS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
