"""What is wrong with a value that a model refused, as sentences for people: where, what is needed, what was meant.

Rules: the validator's own words reach nobody. No value is echoed, since it may be a secret in the wrong place: its kind
is said ("not text"), and a field's name. Of a union the branch counts that the value got furthest in. A kind of problem
that has no words here is "not valid here", and a test that walks all models finds it.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from phasenb.dto import bounds
from phasenb.dto.base import SESSION_PATTERN

MOST = 20  # that are told of one value
_READ = 200  # that are looked at: there may be one for each of a client's entries
_MESSAGE = 500
_FEW_FIELDS = 8
_KEY = "[key]"  # ends the place of a name within an object, where it is the name that is wrong
_NOWHERE = object()

_NEEDED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "dict_type": "an object {name: value}",
    "model_type": "an object with fields",
    "model_attributes_type": "an object with fields",
    "tuple_type": "a list",
    "list_type": "a list",
    "datetime_type": "a time such as 2026-03-01T12:00:00Z",
    "datetime_parsing": "a time such as 2026-03-01T12:00:00Z",
    "datetime_from_date_parsing": "a time such as 2026-03-01T12:00:00Z",
}
_KINDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    bytes: "bytes",
    type(None): "null",
    dict: "an object",
    list: "a list",
    tuple: "a list",
}
_LETTERS = "letters a to z, digits and _ only, not a digit first"
PATTERNS = {
    r"^[A-Za-z_][A-Za-z0-9_]{0,63}$": f"{_LETTERS}, at most 64 characters",
    r"^[A-Za-z_][A-Za-z0-9_]{0,254}$": f"{_LETTERS}, at most 255 characters",
    SESSION_PATTERN: "letters a to z, digits and . _ : / @ - only, at most 128 characters",
    r"^[A-Za-z_][\w.]*$": "a class's name is needed, as package.module.Class",
    r"^(launcher|env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$": 'say where it is found: "launcher", "env:NAME" or "file:PATH"',
    r"^sha256:[0-9a-f]{64}$": "the name of an object is needed: sha256: and 64 digits 0-9, a-f",
    r"^[0-9a-f]{64}$": "a SHA-256 digest is needed: 64 digits 0-9, a-f",
    r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$": "W3 Trace Context's form is needed: 00-TRACE-SPAN-FLAGS",
}


class Problem(NamedTuple):
    """``path``: the fields that lead to it, from the value's top."""

    path: tuple[int | str, ...]
    told: str

    @property
    def place(self) -> str:
        return bounds.place(self.path)

    def __str__(self) -> str:
        return f"{self.place}: {self.told}" if self.path else self.told


def problems(error: ValidationError, model: type[BaseModel], given: Any, *, field: str = "field") -> list[Problem]:
    """What ``model`` has against ``given``, in its order, one of each place. ``field``: what people call a field."""
    found = [_found(each, model, given) for each in error.errors(include_url=False)[:_READ]]
    told: dict[tuple[int | str, ...], list[_Found]] = {}
    for each in found:
        if not any(other.goes_on(each) for other in found):
            told.setdefault(each.path, []).append(each)
    return [Problem(path, _together(path, several, field)) for path, several in told.items()]


def fields(error: ValidationError, model: type[BaseModel], given: Any) -> dict[str, str]:
    """As an answer says them, ``{"options.key": "at most 200 ..."}``: the first few."""
    several = problems(error, model, given)
    told = {problem.place or "message": problem.told for problem in several[:MOST]}
    left = max(0, len(several) - MOST) + max(0, error.error_count() - _READ)
    return {**told, "...": f"and {left:,} more"} if left > 0 else told


# --- where -----------------------------------------------------------------------------------------------------------


class _Found(NamedTuple):
    """One refusal. ``unions``: {length of the path at which a union is: the branch}."""

    error: Mapping[str, Any]
    path: tuple[int | str, ...]
    unions: Mapping[int, str]
    known: frozenset[str]

    def goes_on(self, other: _Found) -> bool:
        """Whether this is about what lies within the place of ``other``, in another branch of the same union."""
        at = len(other.path)
        branch = other.unions.get(at)
        return (
            branch is not None
            and self.unions.get(at, branch) != branch
            and self.path[:at] == other.path
            and (len(self.path) > at or self.error["loc"][-1] == _KEY)
        )


def _found(error: Mapping[str, Any], model: type[BaseModel], given: Any) -> _Found:
    """A place as the value has it: the validator's also names branches of unions."""
    path: list[int | str] = []
    unions: dict[int, str] = {}
    known: frozenset[str] = frozenset()
    value, hints = given, [model]
    parts = error["loc"]
    for number, part in enumerate(parts):
        names = _names(hints)
        last = number == len(parts) - 1
        if part == _KEY and last:
            continue
        missing = last and error["type"] == "missing"
        branch = last and not missing and isinstance(value, Mapping) and value is error["input"]  # named as a key of it
        if branch:
            unions[len(path)] = str(part)
        elif _has(value, part) or missing or (value is _NOWHERE and part in names):
            path.append(part)
            known = frozenset(names)
            value = value[part] if _has(value, part) else _NOWHERE
            hints = [inner for hint in hints for inner in _inside(hint, part)]
        else:
            unions[len(path)] = str(part)
    return _Found(error, tuple(path), unions, known)


def _has(value: Any, part: int | str) -> bool:
    if isinstance(value, Mapping):
        return part in value
    return isinstance(value, Sequence) and not isinstance(value, str) and isinstance(part, int) and part < len(value)


def _names(hints: Sequence[Any]) -> list[str]:
    """The fields that these types have."""
    models = (kind for hint in hints for kind in _kinds(hint) if _is_model(kind))
    return [info.alias or name for model in models for name, info in model.model_fields.items()]


def _inside(hint: Any, part: int | str) -> list[Any]:
    """The types of what a value of type ``hint`` has at ``part``."""
    found = []
    for kind in _kinds(hint):
        if _is_model(kind):
            named = {info.alias or name: info.annotation for name, info in kind.model_fields.items()}
            found += [named[part]] if part in named else []
        elif get_origin(kind) in (dict, tuple, list):
            found += [get_args(kind)[1 if get_origin(kind) is dict else 0]]
    return found


def _kinds(hint: Any) -> Iterator[Any]:
    """The types that a value of type ``hint`` may have."""
    if get_origin(hint) is Annotated:
        yield from _kinds(get_args(hint)[0])
    elif get_origin(hint) in (Union, types.UnionType):
        for each in get_args(hint):
            yield from _kinds(each)
    else:
        yield hint


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


# --- what ------------------------------------------------------------------------------------------------------------


def _together(path: tuple[int | str, ...], several: Sequence[_Found], field: str) -> str:
    """What is told of one place: what a branch says that takes such a value, else what all of them need."""
    needed = [_need(each.error) for each in several]
    said = next((each for each, need in zip(several, needed, strict=True) if need is None), None)
    if said is not None:
        return _sentence(said, path, field)
    *others, wanted = dict.fromkeys(need for need in needed if need is not None)
    if others:
        wanted = f"{', '.join(others).replace(' or ', ', ')} or {wanted}"
    return _of_key(several[0].error, f"{wanted} is needed{_instead(several[0].error)}")


def _need(error: Mapping[str, Any]) -> str | None:
    if error["type"] in ("literal_error", "enum"):
        expected = str(error["ctx"]["expected"]).replace("'", "")
        return {"True": "true", "False": "false"}.get(expected, expected)
    return _NEEDED.get(error["type"])


def _instead(error: Mapping[str, Any]) -> str:
    """The kind of what was given, where it says something."""
    kind, given = error["type"], error["input"]
    if kind == "int_from_float":
        return ", without a fraction"
    if kind.endswith("_parsing") and isinstance(given, str):
        return ", and this text is none"
    if kind in ("literal_error", "enum", "finite_number", "int_parsing_size") and isinstance(given, str | float | int):
        return ""
    told = _KINDS.get(type(given))
    return f", not {told}" if told is not None else ""


def _sentence(found: _Found, path: tuple[int | str, ...], field: str) -> str:
    error = found.error
    kind, facts = error["type"], error.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return _no_field(str(path[-1]), sorted(found.known), field)
    if kind == "invalid_key":
        return "the name is not valid: text is needed"
    if kind == "value_error":
        told = str(facts["error"])
        return told if len(told) <= _MESSAGE else f"{told[:_MESSAGE]}..."
    return _of_key(error, _bound(kind, facts))


def _bound(kind: str, facts: Mapping[str, Any]) -> str:
    """Of a value of the right kind."""
    if kind == "too_long":
        given = facts.get("actual_length")
        there = f", and {given:,} are given" if isinstance(given, int) else ""
        most = f"at most {facts['max_length']:,} entries are taken here"
        return f"{most}{there}: leave some out"
    if kind == "string_too_long":
        return bounds.too_long(facts["max_length"])
    if kind in ("too_short", "string_too_short"):
        return _at_least(facts["min_length"], "characters" if kind == "string_too_short" else "entries")
    if kind == "string_pattern_mismatch":
        return PATTERNS.get(facts["pattern"], _NOT_VALID)
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return f"{words} {_number(facts[name])} is needed"
    return _OTHERS.get(kind, _NOT_VALID)


_NOT_VALID = "not valid here"
_OTHERS = {"string_unicode": "the text has characters that UTF-8 can't write (lone surrogates)"}
_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.10g}"


def _of_key(error: Mapping[str, Any], told: str) -> str:
    """The place of a name is that of its value: what is wrong is the name."""
    return f"the name is not valid: {told}" if error["loc"][-1:] == (_KEY,) else told


def _at_least(least: int, nouns: str) -> str:
    return "it may not be empty" if least == 1 else f"at least {least:,} {nouns} are needed"


def _no_field(name: str, known: Sequence[str], field: str) -> str:
    near = get_close_matches(name[: bounds.NAME], known, n=1)
    if near:
        return f"there is no such {field}; did you mean `{near[0]}`?"
    few = f" (there are: {', '.join(known)})" if 0 < len(known) <= _FEW_FIELDS else ""
    return f"there is no such {field}{few}"
