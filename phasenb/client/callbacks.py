"""Calling what a person gave: it runs on the client's loop, where nothing of theirs may stop the messages."""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)


def tell(callback: Callable[..., object], *args: object) -> None:
    """Call it; what it raises is logged, and harms nobody else."""
    try:
        callback(*args)
    except Exception:
        log.exception("a callback of this client raised; messages go on")
