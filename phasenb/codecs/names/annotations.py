"""The names in string annotations: what ``typing.get_type_hints`` looks up, and no bytecode shows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, ForwardRef


def annotated_names(code: Any) -> list[str]:
    """The names in the string annotations of a class or function, each once."""
    try:
        annotations = vars(code).get("__annotations__") if isinstance(code, type) else code.__annotations__
    except Exception:  # Python 3.14 computes them when it is asked, and a name may be missing
        return []
    texts = (text for annotation in (annotations or {}).values() for text in _texts(annotation))
    return list(dict.fromkeys(name for text in texts for name in _names_in(text)))


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
