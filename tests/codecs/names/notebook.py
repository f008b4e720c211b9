"""A notebook for tests: cells of a file in ``notebooks/``, run in this process, whose launches are attempts.

A file has cells as ``# %%`` and kernels as ``# %% new kernel``. Its cells may use ``launch``, ``relaunch`` (inputs are
earlier results, as bytes), ``keep`` and ``kept`` (over a new kernel), ``check(label, holds)`` and ``STORE`` (a folder).
"""

import io
import linecache
import sys
from contextlib import contextmanager
from pathlib import Path

from phasenb.codecs.names.files import write_code, write_value
from phasenb.codecs.names.home import Home, empty_main, process_home
from phasenb.codecs.names.reading import read_code, read_value
from phasenb.executors.task_main import TaskMains

NOTEBOOKS = Path(__file__).parent / "notebooks"
_mains = TaskMains()


class Task:
    """``data``: what came back, as bytes; ``raised``: whether that is an exception."""

    def __init__(self, data, raised=False):
        self.data = data
        self.raised = raised

    def result(self):
        value = loads(self.data)
        if self.raised:
            raise value
        return value


def dumps(value):
    file = io.BytesIO()
    write_value(value, file)
    return file.getvalue()


def loads(data):
    return read_value(io.BytesIO(data))


def attempt(code, inputs):
    """As a worker does it: in a ``__main__`` of its own."""
    with _mains.fresh():
        agent = read_code(code)
        values = {name: loads(data) for name, data in inputs.items()}
        try:
            return Task(dumps(agent(**values)))
        except Exception as error:
            return Task(dumps(error.with_traceback(None)), raised=True)


def launch(function, **inputs):
    return attempt(write_code(function), {name: dumps(value) for name, value in inputs.items()})


def relaunch(function, **tasks):
    return attempt(write_code(function), {name: task.data for name, task in tasks.items()})


def check(label, holds):
    assert holds, label


def run(name, folder, **names):
    """Run the notebook of that name. ``names``: what its cells find beside, or instead of, what is here."""
    kept = {}
    given = {
        "launch": launch,
        "relaunch": relaunch,
        "keep": lambda at, task: kept.__setitem__(at, task.data),
        "kept": lambda at: Task(kept[at]),
        "check": check,
        "STORE": str(folder),
        **names,
    }
    path = NOTEBOOKS / f"{name}.py"
    for cells in cells_of(path):
        with kernel(given) as main:
            for number, cell in enumerate(cells):
                file = f"<{name} {number}>"
                linecache.cache[file] = (len(cell), None, cell.splitlines(keepends=True), file)
                exec(compile(cell, file, "exec", dont_inherit=True), vars(main))


def cells_of(path):
    """Its kernels, each a list of cells."""
    kernels = path.read_text().split("\n# %% new kernel\n")
    return [[cell for cell in text.split("\n# %%\n") if cell.strip()] for text in kernels]


@contextmanager
def kernel(given):
    """Within: a ``__main__`` as a new kernel has it."""
    before, main = sys.modules["__main__"], empty_main()
    vars(main).update(given)
    sys.modules["__main__"] = main
    try:
        with process_home(Home()):
            yield main
    finally:
        sys.modules["__main__"] = before
