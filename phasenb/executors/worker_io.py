"""A worker's I/O thread: hears the host while the main thread runs a phase, and tells what waits to be told.

Rules:

* The worker never outlives its host: when the socket ends it kills its descendants and its process group. Where the
  main thread holds the interpreter in a long call of C, or the host is frozen, its guardian does that; where the
  guardian is killed, the kernel ends the worker a second later (Linux; `die_with_guardian`).
* What goes wrong in this thread ends the worker: its last words say what it was, and its attempt is lost, not stuck.
* ``cancel`` sets ``ctx.cancelled``; a phase that has not noticed it a moment later gets a KeyboardInterrupt in the main
  thread, once. No interrupt comes before or after an attempt, nor in the middle of a frame, nor into a cleanup.
"""

from __future__ import annotations

import ctypes
import os
import queue
import selectors
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

from phasenb.core.real_clock import monotonic
from phasenb.executors import forked
from phasenb.executors.frames import FrameParser, Header, frame

if TYPE_CHECKING:
    from phasenb.core.parent import ParentTask
    from phasenb.executors.capture import Capture
    from phasenb.executors.performing import Performance

_TICK_S = 0.05
_PIPE_PAUSE_S = 0.01
_PR_SET_PDEATHSIG = 1


class Channel:
    """The worker's end of the socket, for several threads. A forked child says nothing."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.main_is_sending = False
        self._lock = threading.Lock()
        self._in_child = False
        self._main = threading.main_thread().ident

    def send(self, header: Header, payload: bytes = b"") -> None:
        if self._in_child:
            return
        data = frame(header, payload)
        in_main = threading.get_ident() == self._main
        if in_main:
            self.main_is_sending = True
        try:
            with self._lock:
                self.sock.sendall(data)
        except OSError:
            die()
        finally:
            if in_main:
                self.main_is_sending = False

    def in_child(self) -> None:
        self._in_child = True
        self.sock.close()


class Interrupts:
    """KeyboardInterrupt in the main thread: only while armed, in a phase that has not noticed its cancel, never inside
    a frame, once.
    """

    def __init__(self, channel: Channel) -> None:
        self.armed = False
        self._channel = channel
        self._noticed: Callable[[], bool] = bool

    def arm(self, noticed: Callable[[], bool]) -> None:
        self._noticed = noticed
        self.armed = True

    def install(self) -> None:
        signal.signal(signal.SIGINT, self._on_signal)

    def in_child(self) -> None:
        forked.default_signals(self._on_signal)

    def interrupt(self) -> None:
        """From the I/O thread. May have to be asked again: see ``armed``."""
        main = threading.main_thread().ident
        if self.armed and main is not None and not self._noticed():
            signal.pthread_kill(main, signal.SIGINT)

    def _on_signal(self, number: int, where: FrameType | None) -> None:
        # Asked here, in the thread that runs the phase: it can't notice between the question and the interrupt.
        if self.armed and not self._channel.main_is_sending and not self._noticed():
            self.armed = False
            raise KeyboardInterrupt


class Running:
    """The attempt that the I/O thread looks after."""

    def __init__(self, run: int) -> None:
        self.run = run
        self.performance: Performance | None = None
        self.parent: ParentTask | None = None
        self.interrupt_at: float | None = None
        self.cancelled = False

    def cancel(self, courtesy_s: float) -> None:
        self.cancelled = True
        self.interrupt_at = monotonic() + courtesy_s
        if self.performance is not None:
            self.performance.cancel()


class WorkerIO(threading.Thread):
    """``commands`` holds what the main thread is to do, in order."""

    def __init__(self, channel: Channel, capture: Capture, interrupts: Interrupts) -> None:
        super().__init__(name="phasenb-io", daemon=True)
        self.commands: queue.SimpleQueue[tuple[Header, bytes]] = queue.SimpleQueue()
        self.running: Running | None = None
        self._channel = channel
        self._capture = capture
        self._interrupts = interrupts
        self._parser = FrameParser()

    def run(self) -> None:
        try:
            self._serve()
        except BaseException:  # whatever it is: without this thread nobody hears the host, and the phase would hang
            traceback.print_exc(file=sys.__stderr__)
            die()

    def _serve(self) -> None:
        both, only_socket = selectors.DefaultSelector(), selectors.DefaultSelector()
        only_socket.register(self._channel.sock, selectors.EVENT_READ)
        both.register(self._channel.sock, selectors.EVENT_READ)
        for fd in self._capture.fds:
            both.register(fd, selectors.EVENT_READ)
        tick_at, pause = 0.0, False
        while True:
            timeout = None if self.running is None else max(0.0, tick_at - monotonic())
            ready = only_socket.select(_PIPE_PAUSE_S) if pause else both.select(timeout)
            pause = False
            for key, _ in ready:
                if key.fileobj is self._channel.sock:
                    self._hear()
                else:
                    pause = True
            if pause:
                self._capture.relieve()
            if self.running is not None and monotonic() >= tick_at:
                self._tick(self.running)
                tick_at = monotonic() + _TICK_S

    def _hear(self) -> None:
        try:
            data = self._channel.sock.recv(1 << 20)
        except OSError:
            data = b""
        if not data:
            die()
        for header, payload in self._parser.feed(data):
            kind = header["type"]
            if kind == "cancel":
                if self.running is not None and self.running.run == header["run"]:
                    self.running.cancel(header["courtesy_s"])
                continue
            if kind == "nested":
                running = self.running
                if running is not None and running.run == header["run"] and running.parent is not None:
                    running.parent.deliver(header, payload)
                continue
            if kind == "run":
                self.running = Running(header["run"])
            self.commands.put((header, payload))

    def _tick(self, running: Running) -> None:
        self._capture.tick()
        if running.performance is not None:
            running.performance.flush(self._capture.heard, self._capture.unfinished())
        if running.interrupt_at is not None and monotonic() >= running.interrupt_at:
            self._interrupts.interrupt()


def die_with_guardian() -> None:
    """Have the kernel end this process soon after the one that started it, also where no Python can run any more.

    It sends SIGHUP then, whose handler is libc's own ``alarm``: called with the signal's number, 1, it has SIGALRM end
    the process in one second, without the GIL. An I/O thread that can run has killed the children by then, which
    SIGKILL at once would have orphaned. prctl(2), signal-safety(7). Elsewhere than on Linux there is the thread alone.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
        libc.signal(signal.SIGHUP, ctypes.cast(libc.alarm, ctypes.c_void_p))
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGHUP)


def die() -> None:
    """The host is gone: end this process and all that it started, at once."""
    from phasenb.executors.process_tree import kill_descendants

    try:
        kill_descendants(os.getpid())
    finally:
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)  # started by hand, in a shell's group
