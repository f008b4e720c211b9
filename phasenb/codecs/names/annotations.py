"""Names that code needs and that its bytecode does not show, as they stand in its texts.

String annotations, which ``typing.get_type_hints`` looks up, of the code itself and of functions that it makes; what
pandas and patsy look up among the variables of whoever calls them; and who asks for subclasses.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType
from typing import Any, ForwardRef

_LONGEST = 200  # characters of an annotation
_LONGEST_FORMULA = 2_000
_QUERIED = re.compile(r"(?<![\w.])@([^\W\d]\w*)")
_CALLED = re.compile(r"(?<![\w.])([^\W\d]\w*)(?=\s*[(.])")


def annotated_names(code: Any) -> list[str]:
    """The names in the string annotations of a class or function, each once."""
    try:
        annotations = vars(code).get("__annotations__") if isinstance(code, type) else code.__annotations__
    except Exception:  # Python 3.14 computes them when it is asked, and a name may be missing
        return []
    texts = (text for annotation in (annotations or {}).values() for text in _texts(annotation))
    return list(dict.fromkeys(name for text in texts for name in _names_in(text)))


def inner_codes(code: CodeType) -> Iterator[CodeType]:
    """The code of the functions and classes that ``code`` makes, at any depth."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from inner_codes(constant)


@lru_cache(maxsize=512)  # a notebook launches again and again
def inner_annotated_names(code: CodeType) -> frozenset[str]:
    """The names in what may be string annotations of the functions that ``code`` makes: in any text beside them."""
    inner = list(inner_codes(code))
    constants = [constant for each in (code, *inner) for constant in each.co_consts] if inner else []
    texts = [part for each in constants for part in (each if isinstance(each, tuple) else (each,))]
    short = [text for text in texts if isinstance(text, str) and len(text) <= _LONGEST]
    return frozenset(name for text in short for name in _names_in(text))


@lru_cache(maxsize=512)
def used_names(code: CodeType) -> frozenset[str]:
    """The names of variables and attributes in ``code`` and in what it makes."""
    return frozenset(name for each in (code, *inner_codes(code)) for name in each.co_names)


@lru_cache(maxsize=512)
def queried_names(code: CodeType) -> tuple[str, ...]:
    """Those that ``DataFrame.query`` and ``eval`` look up: ``limit`` of ``"a > @limit"``."""
    return tuple(dict.fromkeys(name for text in _own_texts(code) for name in _QUERIED.findall(text)))


@lru_cache(maxsize=512)
def formula_names(code: CodeType) -> tuple[str, ...]:
    """What may be functions and modules in a formula of patsy, as statsmodels has it: ``np`` of ``"y ~ np.log(x)"``."""
    formulas = [text for text in _own_texts(code) if "~" in text]
    return tuple(dict.fromkeys(name for text in formulas for name in _CALLED.findall(text)))


def _own_texts(code: CodeType) -> Iterator[str]:
    """Short texts in ``code`` and in what it makes, but for docstrings."""
    for each in (code, *inner_codes(code)):
        constants = each.co_consts[1:] if _has_docstring(each) else each.co_consts
        for constant in constants:
            for part in constant if isinstance(constant, tuple) else (constant,):
                if isinstance(part, str) and len(part) <= _LONGEST_FORMULA:
                    yield part


def _has_docstring(code: CodeType) -> bool:
    flag = getattr(inspect, "CO_HAS_DOCSTRING", None)
    if flag is None:  # before Python 3.14 None stands where there is none
        return isinstance(code.co_consts[0], str) if code.co_consts else False
    return bool(code.co_flags & flag)


def _texts(annotation: Any) -> Iterator[str]:
    """The parts of an annotation that are text: all of it, a forward reference, or arguments of a generic one."""
    if isinstance(annotation, str):
        yield annotation
    elif isinstance(annotation, ForwardRef):
        yield annotation.__forward_arg__
    elif not isinstance(annotation, type):
        arguments = getattr(annotation, "__args__", ())
        for each in arguments if isinstance(arguments, tuple) else ():
            yield from _texts(each)


@lru_cache(1000)
def _names_in(text: str) -> tuple[str, ...]:
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        return ()
    return tuple(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
