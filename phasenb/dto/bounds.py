"""How much of anything a command may have: bounds of the models, each said once, and what a client hears past one.

A value of any size goes into ``inputs``: a client keeps a large one as an object. Everything else of a command is read,
checked and stored by the server itself, while others wait, and so has a bound. They are far above what people write;
what they keep small together is measured (``make bench``: "the largest launch").
"""

from __future__ import annotations

from typing import Any

ID = 64  # characters of a client's own id of a command, an epoch, a cursor
NAME = 200  # of a name: a task's, an agent's, a key, a label's, an input's
PLACE = 4096  # of a path (Linux' PATH_MAX), or of where something is imported from
TEXT = 1000  # of a label's value
REMARK = 10_000  # of what a person says of a decision
VARIABLE = 65_536  # of an environment variable: Linux takes twice as much
SOURCE = 65_000  # of the text of a phase's function, which is cut there
INPUTS = 1000
LABELS = 64
VARIABLES = 256
SECRETS = 64
PATHS = 1000  # of sys.path
PHASES = 256
RULES = 100  # of one phase's policy
RULES_OF_ALL = 500  # of all phases' policies together: each is read and compared a few times in a launch
CLASSES = 100  # names of exceptions in one list
THRESHOLDS = 20
DEPTH = 200  # of arrays and objects within each other: what a server may have to write, orjson writes to 254
NUMBER = 2**53 - 1  # as far as every JSON reader counts

_PART = 60  # characters of a part of a path: it may be the client's own text


def place(parts: tuple[int | str, ...]) -> str:
    """A field's path, for people; a part that is a client's own text is cut."""
    return ".".join(text if len(text := str(part)) <= _PART else f"{text[:_PART]}..." for part in parts)


def too_long(limit: int) -> str:
    return f"at most {limit:,} characters are taken here: shorten it (a long text can be an input)"


def too_deep(value: Any) -> bool:
    """Whether arrays and objects lie deeper within each other than DEPTH; in time linear in ``value``."""
    level = [value] if isinstance(value, dict | list | tuple) else []
    for _ in range(DEPTH + 1):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list | tuple)
        ]
        if not level:
            return False
    return True
