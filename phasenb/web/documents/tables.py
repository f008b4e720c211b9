"""The table of transitions as TypeScript: the labextension's reducer looks states and actions up in it."""

from __future__ import annotations

from collections.abc import Iterable

from phasenb.core.transitions import ACTIONS, TRANSITIONS

_HEAD = """\
// Made from phasenb/core/transitions.py by `make documents`. Do not edit.

import type { State, TaskEvent } from './protocol';
"""


def tables() -> str:
    """The module ``transitions.ts``."""
    rows = [f"  {state or _text('')}: {{{_cells(row.items())}\n  }}" for state, row in TRANSITIONS.items()]
    actions = [f"  {state}: [{', '.join(map(_text, names))}]" for state, names in ACTIONS.items()]
    parts = [
        _HEAD,
        "/** State ('' before the first event) -> event type -> the states that it may lead to. */\n"
        "export const TRANSITIONS: Record<State | '', Partial<Record<TaskEvent['type'], readonly State[]>>> = "
        f"{_block(rows)};\n",
        "/** What a person may ask for in each state. */\n"
        f"export const ACTIONS: Record<State, readonly string[]> = {_block(actions)};\n",
    ]
    return "\n".join(parts)


def _cells(row: Iterable[tuple[str, Iterable[str]]]) -> str:
    return ",".join(f"\n    {event_type}: [{', '.join(map(_text, targets))}]" for event_type, targets in row)


def _block(lines: list[str]) -> str:
    return "{\n" + ",\n".join(lines) + "\n}"


def _text(name: str) -> str:
    return f"'{name}'"
