"""Waits that end: a condition that never comes to hold fails its test."""

import time

PATIENCE_S = 60.0  # a deadline, not a measure


def until(holds, within_s=PATIENCE_S):
    """Ask ``holds()`` until what it returns is true; that. What is asked takes its time: nothing sleeps in between."""
    deadline = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < deadline, f"it did not come to hold within {within_s:g} s"
    return found
