"""The guardian as its host sees it: it starts workers, and tells of their end.

Rules: everything here runs on the host's loop and never blocks it; a guardian that is gone takes its workers along, and
another one is started with the next worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil

from phasenb.executors import guardian
from phasenb.executors.process_tree import kill_tree

log = logging.getLogger(__name__)
_KILLED = -9


class Child:
    """A process that a guardian started."""

    def __init__(self, pid: int, ended: asyncio.Future[int]) -> None:
        self.pid = pid
        self._ended = ended

    async def wait(self) -> int:
        """Its returncode, as in ``subprocess``, once it has ended."""
        return await asyncio.shield(self._ended)


class GuardianProcess(asyncio.Protocol):
    """Made by ``start``. ``silence_s``: how long it bears no word of this host; None: as long as the host is there."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process
        self._answers: asyncio.BaseTransport
        self._commands: socket.socket
        self._speaking = asyncio.Lock()
        self._starting: deque[asyncio.Future[Child]] = deque()
        self._ends: dict[int, asyncio.Future[int]] = {}
        self._buffer = b""
        self._burying: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, silence_s: float | None) -> GuardianProcess:
        """Raises OSError."""
        self = cls()
        with ExitStack() as theirs, ExitStack() as ours:
            self._commands, its_commands = socket.socketpair()
            ours.callback(self._commands.close)
            theirs.callback(its_commands.close)
            read, write = os.pipe()
            answers = ours.enter_context(os.fdopen(read, "rb", buffering=0))
            theirs.callback(os.close, write)
            self._commands.setblocking(False)
            passed = (its_commands.fileno(), write)
            program = [sys.executable, "-I", "-S", str(Path(guardian.__file__))]
            words = [*map(str, (*passed, os.getpid(), silence_s or 0)), *_homes()]
            self._process = await asyncio.create_subprocess_exec(
                *program,
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=passed,
                start_new_session=True,  # neither Ctrl-C nor Ctrl-Z is for it
            )
            self._answers, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: self, answers)
            ours.pop_all()
        return self

    @property
    def alive(self) -> bool:
        return self._burying is None

    async def spawn(self, words: Sequence[str], variables: Mapping[str, str], descriptors: Sequence[int]) -> Child:
        """Start a process; ``descriptors``: see ``guardian``. Raises OSError."""
        environment = [f"{name}={value}" for name, value in variables.items()]
        body = b"\0\0".join(b"\0".join(map(os.fsencode, each)) for each in (words, environment))
        return await asyncio.shield(asyncio.ensure_future(self._spawn(body, descriptors)))

    async def _spawn(self, body: bytes, descriptors: Sequence[int]) -> Child:
        loop = asyncio.get_running_loop()
        async with self._speaking:
            if not self.alive:
                raise _killed()
            started: asyncio.Future[Child] = loop.create_future()
            self._starting.append(started)
            try:
                socket.send_fds(self._commands, [guardian.LENGTH.pack(len(body))], list(descriptors))
                await loop.sock_sendall(self._commands, body)
            except ConnectionError:
                pass  # it was killed a moment ago: ``_bury`` tells
            except OSError:
                self._starting.remove(started)
                raise
        return await started

    def show_life(self) -> None:
        """Say that this host lives, unless more than that is being said just now."""
        if not self._speaking.locked():
            with contextlib.suppress(OSError):  # it is busy, or gone: its answers tell
                self._commands.send(guardian.LENGTH.pack(0))

    async def close(self) -> None:
        """End it, and all that it guards."""
        self._commands.close()
        await self._process.wait()
        self._answers.close()
        if self._burying is not None:
            await self._burying

    # --- asyncio.Protocol ------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        whole = len(self._buffer) - len(self._buffer) % guardian.ANSWER.size
        for kind, number, value in guardian.ANSWER.iter_unpack(self._buffer[:whole]):
            self._answered(kind, number, value)
        self._buffer = self._buffer[whole:]

    def _answered(self, kind: bytes, number: int, value: int) -> None:
        if kind == guardian.ENDED:
            self._ends.pop(number).set_result(value)
            return
        started = self._starting.popleft()
        if kind == guardian.NOT_STARTED:
            started.set_exception(OSError(number, os.strerror(number)))
            return
        ended = self._ends[number] = asyncio.get_running_loop().create_future()
        started.set_result(Child(number, ended))

    def connection_lost(self, exc: Exception | None) -> None:
        self._burying = asyncio.get_running_loop().create_task(self._bury(), name="bury the guardian's workers")

    async def _bury(self) -> None:
        """It is gone: by its host's wish, or it was killed, and what it guarded has nobody else."""
        if self._ends:
            log.warning("the guardian of this host's workers is gone: they end, and another one takes its place")
        while self._starting:
            self._starting.popleft().set_exception(_killed())
        ends, self._ends = self._ends, {}
        for pid, ended in ends.items():
            try:
                await asyncio.to_thread(kill_tree, pid)
            except OSError as error:  # no descriptor is left to look for its children with
                log.warning("children of process %d may live on: %s", pid, error)
            ended.set_result(_KILLED)


def _killed() -> OSError:
    return OSError(errno.EAGAIN, "its guardian was killed")  # another one can start it


def _homes() -> list[str]:
    """Where the packages lie that a guardian may need, which starts without any."""
    return [str(Path(guardian.__file__).parents[2]), str(Path(psutil.__file__).parents[1])]
