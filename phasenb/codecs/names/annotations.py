"""The names in string annotations: what ``typing.get_type_hints`` looks up, and no bytecode shows."""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import Any


def annotated_names(code: Any) -> list[str]:
    """The names in the string annotations of a class or function, each once."""
    try:
        annotations = vars(code).get("__annotations__") if isinstance(code, type) else code.__annotations__
    except Exception:  # Python 3.14 computes them when it is asked, and a name may be missing
        return []
    texts = [text for text in (annotations or {}).values() if isinstance(text, str)]
    return list(dict.fromkeys(name for text in texts for name in _names_in(text)))


@lru_cache(1000)
def _names_in(text: str) -> tuple[str, ...]:
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        return ()
    return tuple(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
