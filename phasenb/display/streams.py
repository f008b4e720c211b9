"""Text for a terminal, a pipe or a mail that may not be UTF-8: what it has no character for is replaced.

Rule: no word of ours ever fails a command or a cell, whatever the stream can hold.
"""

from __future__ import annotations

import sys
from typing import Any, TextIO


def be_lenient() -> None:
    """Have this process's stdout and stderr take any text, for a process that is ours from its start."""
    for stream in (sys.stdout, sys.stderr):
        known: Any = stream
        if getattr(known, "errors", None) == "strict" and hasattr(known, "reconfigure"):
            known.reconfigure(errors="replace")


def write(text: str, stream: TextIO | None = None) -> None:
    """Write ``text`` to a stream that is a person's own, stdout by default, and leave the stream as it is."""
    stream = stream or sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding, "replace"))
