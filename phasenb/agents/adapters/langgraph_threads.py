"""The threads in which LangGraph runs a graph's nodes, and how a cancel reaches what runs there.

LangGraph runs nodes and tools in threads of its own and waits for them, so an interrupt of the phase's thread does not
reach them. ``Cancelled`` is raised in each of them instead, at once and once. Python raises it at the thread's next
bytecode: a long call of C goes on until it returns, as no signal wakes a thread that is not the main one.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from phasenb.core.context import Cancelled


class NodeThreads(BaseCallbackHandler):
    """Those of one run, as its callbacks tell them: they are called in the thread that runs the node or the tool."""

    def __init__(self) -> None:
        self._phase = threading.get_ident()
        self._lock = threading.Lock()
        self._running: dict[UUID, int] = {}
        self._cancelled = False
        self._told: set[int] = set()

    def cancel(self) -> None:
        """Any thread may call it."""
        with self._lock:
            self._cancelled = True
            self._told = set(self._running.values())
            for thread in self._told:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(Cancelled))

    def _begin(self, *_: Any, run_id: UUID, **__: Any) -> None:
        thread = threading.get_ident()
        if thread == self._phase:
            return
        with self._lock:
            late = self._cancelled and thread not in self._told  # one that was told may begin what its cleanup needs
            if late:
                self._told.add(thread)
            self._running[run_id] = thread
        if late:
            raise Cancelled

    def _end(self, *_: Any, run_id: UUID, **__: Any) -> None:
        self._running.pop(run_id, None)  # without the lock: a thread that is interrupted here would leave it taken

    on_chain_start = on_tool_start = _begin
    on_chain_end = on_chain_error = on_tool_end = on_tool_error = _end
