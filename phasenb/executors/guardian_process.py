"""A worker's guardian as its host sees it: it starts the worker, and tells of its end.

Rules: everything here runs on the host's loop and never blocks it; a guardian that is gone takes its worker along. Each
worker has one of its own: what is wrong with one, or with what it is to start, harms no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic

import psutil

from phasenb.executors import guardian
from phasenb.executors.feeding import Feeding
from phasenb.executors.process_tree import kill_tree

log = logging.getLogger(__name__)
END_S = 15.0  # for what a guardian has to do at the end: it waits 5 s at most, and machines are busy
_KILLED = -9
_WORDS = 5  # within the silence that it bears


class GuardianProcess(asyncio.Protocol):
    """Made by ``start``. ``pid`` is that of what it guards, ``peak_bytes`` the most memory that it held: known at its
    end, 0 where its guardian was gone.
    """

    def __init__(self, silence_s: float | None, feeding: Feeding | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.pid = 0
        self.silent = False  # it ends what it guards, as this host showed no life,
        self.frozen = False  # and that because this process was frozen
        self.peak_bytes = 0
        self._silence_s = silence_s
        self._feeding = feeding
        self._voice: socket.socket | None = None
        self._process: asyncio.subprocess.Process
        self._line: asyncio.Transport
        self._started: asyncio.Future[int] = loop.create_future()
        self._ended: asyncio.Future[int] = loop.create_future()
        self._data = b""
        self._speaking: asyncio.TimerHandle | None = None
        self._burying: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        words: Sequence[str],
        variables: Mapping[str, str],
        descriptors: Sequence[int],
        output: tuple[int, int],
        silence_s: float | None,
        feeding: Feeding | None = None,
    ) -> GuardianProcess:
        """Start a process; its last words are the numbers of the ``descriptors``, which are passed to it.

        ``variables``: its whole environment.
        ``output``: its stdout and stderr. ``silence_s``: how long it may live without a word of this host; None: as
        long as the host is there. ``feeding`` says such words from another thread; by default the loop does.

        Raises OSError.
        """
        self = cls(silence_s, feeding)
        line, its_line = socket.socketpair()
        try:
            with its_line:
                self._process = await _guardian(words, variables, descriptors, output, its_line.fileno(), silence_s)
            if feeding is not None and silence_s is not None:
                self._voice = line.dup()
                feeding.add(self._voice)
            await asyncio.get_running_loop().create_connection(lambda: self, sock=line)
        except BaseException:
            self._be_silent()
            line.close()
            raise
        try:
            await self._started
        except BaseException:  # whoever waited for it was cancelled: it ends what it started
            await asyncio.shield(self.end())
            raise
        return self

    async def wait(self) -> int:
        """The returncode of what it guards, as in ``subprocess``, once nothing is left of it."""
        returncode = await asyncio.shield(self._ended)
        await self._process.wait()
        return returncode

    async def end(self) -> None:
        """Have it end what it guards. A guardian that makes no progress is killed."""
        self._be_silent()
        if not self._line.is_closing():
            self._line.write_eof()
        try:
            await asyncio.wait_for(self._process.wait(), END_S)
        except TimeoutError:
            log.warning("the guardian of worker process %d does not end it, and is killed", self.pid)
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    # --- asyncio.Protocol ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._line = transport
        if self._silence_s is not None and self._feeding is None:
            self._show_life(self._silence_s / _WORDS)

    def _show_life(self, seconds: float) -> None:
        self._line.write(guardian.WORD.pack(monotonic()))
        self._speaking = asyncio.get_running_loop().call_later(seconds, self._show_life, seconds)

    def _be_silent(self) -> None:
        if self._speaking is not None:
            self._speaking.cancel()
        if self._voice is not None and self._feeding is not None:
            self._feeding.remove(self._voice)

    def data_received(self, data: bytes) -> None:
        self._data += data
        whole = len(self._data) - len(self._data) % guardian.ANSWER.size
        for kind, number, peak_bytes in guardian.ANSWER.iter_unpack(self._data[:whole]):
            self.peak_bytes = peak_bytes
            self._answered(kind, number)
        self._data = self._data[whole:]

    def _answered(self, kind: bytes, number: int) -> None:
        if kind == guardian.SILENT:
            self.silent = True
            self.frozen = self._feeding is not None and self._feeding.frozen()
        elif kind == guardian.ENDED:
            self._ended.set_result(number)
        elif self._started.cancelled():
            return
        elif kind == guardian.STARTED:
            self.pid = number
            self._started.set_result(number)
        else:
            self._fail(OSError(number, os.strerror(number)))

    def _fail(self, error: OSError) -> None:
        self._started.set_exception(error)
        self._started.exception()  # heard: nobody may wait for it any more

    def connection_lost(self, exc: Exception | None) -> None:
        self._be_silent()
        if not self._started.done():
            self._fail(OSError(errno.EAGAIN, "its guardian was killed"))  # another one can start it
        elif self.pid and not self._ended.done():
            self._burying = asyncio.get_running_loop().create_task(self._bury(), name=f"bury process {self.pid}")

    async def _bury(self) -> None:
        """The guardian was killed, and what it guarded has nobody else."""
        log.warning("the guardian of worker process %d is gone: it ends", self.pid)
        try:
            await asyncio.to_thread(kill_tree, self.pid)
        except OSError as error:  # no descriptor is left to look for its children with
            log.warning("children of process %d may live on: %s", self.pid, error)
        self._ended.set_result(_KILLED)


async def _guardian(
    words: Sequence[str],
    variables: Mapping[str, str],
    descriptors: Sequence[int],
    output: tuple[int, int],
    line: int,
    silence_s: float | None,
) -> asyncio.subprocess.Process:
    program = [sys.executable, "-I", "-S", str(Path(guardian.__file__))]
    facts = (line, os.getpid(), silence_s or float("inf"), os.pathsep.join(_homes()), ",".join(map(str, descriptors)))
    try:
        return await asyncio.create_subprocess_exec(
            *program,
            *map(str, facts),
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output[0],
            stderr=output[1],
            # What a launcher's interpreter needs (LD_LIBRARY_PATH) may break this one, which the guardian runs in.
            env={**os.environ, **{guardian.FOR_WORKER + name: value for name, value in variables.items()}},
            pass_fds=(line, *descriptors),
            start_new_session=True,  # neither Ctrl-C nor Ctrl-Z is for it
        )
    except ValueError as error:  # a NUL, or what no file system can name: no such program
        raise OSError(errno.EINVAL, str(error)) from error


def _homes() -> list[str]:
    """Where the packages lie that a guardian may need, which starts without any."""
    return [str(Path(guardian.__file__).parents[2]), str(Path(psutil.__file__).parents[1])]
