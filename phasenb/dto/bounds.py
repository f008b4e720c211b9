"""How much of anything a command may have: bounds of the models, each said once, and what a client hears past one.

A value of any size goes into ``inputs``: a client keeps a large one as an object. Everything else of a command is read,
checked and stored by the server itself, while others wait, and so has a bound. They are far above what people write;
what they keep small together is measured (``make bench``: "the largest launch").

A launch in the store was taken once, under the bounds of its day, and is read whatever they are now (``AtMost``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

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

Reading = Mapping[str, bool] | None  # the context in which a model reads a value
STORED: Reading = {"stored": True}  # of the store

_PART = 60  # characters of a part of a path: it may be the client's own text


@dataclass(frozen=True)
class AtMost:
    """A bound of a text, a list or a map, for ``Annotated``; not asked of what is read in the context ``STORED``."""

    limit: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_before_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler(schema)
        word = {"string": "maxLength", "array": "maxItems", "object": "maxProperties"}[found["type"]]
        return {**found, word: self.limit}

    def _checked(self, value: Any, info: ValidationInfo) -> Any:
        """Before the entries are looked at, which may be many."""
        if not isinstance(value, str | list | tuple | dict) or len(value) <= self.limit or info.context == STORED:
            return value
        if isinstance(value, str):
            raise PydanticKnownError("string_too_long", {"max_length": self.limit})
        facts = {"field_type": "Value", "max_length": self.limit, "actual_length": len(value)}
        raise PydanticKnownError("too_long", facts)


def place(parts: tuple[int | str, ...]) -> str:
    """A field's path, for people; a part that is a client's own text is cut."""
    return ".".join(text if len(text := str(part)) <= _PART else f"{text[:_PART]}..." for part in parts)


def too_long(limit: int) -> str:
    return f"at most {limit:,} characters are taken here: shorten it"


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
