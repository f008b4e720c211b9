"""What the TypeScript reducer is tested with is what the Python reducer gives today, on each cell of the table."""

import json

from phasenb.core.task_schema import apply, with_update
from phasenb.dto import events as ev

NEW = "run `python -m tests.labextension.vectors`"


def test_the_committed_histories_are_what_the_reducer_gives():
    from tests.labextension.vectors import VECTORS, cells, table_cells

    covered = set()
    for vector in json.loads(VECTORS.read_text(encoding="utf-8")):
        task, expected, steps = None, {}, []
        for written, change in vector["steps"]:
            expected = {**expected, **change}
            if written["type"] == "phase_update":
                message = ev.PhaseUpdate.model_validate(written)
                task = with_update(task, message)
            else:
                message = ev.parse_event(written)
                task = apply(task, message)
            assert task.as_json() == expected, f"the reducer has changed: {NEW}"
            steps.append((message, task))
        covered |= cells(steps)
    assert covered == table_cells(), NEW


def test_the_committed_words_are_what_python_says():
    from tests.labextension.words import VECTORS, said

    assert json.loads(VECTORS.read_text(encoding="utf-8")) == said(), "run `python -m tests.labextension.words`"
